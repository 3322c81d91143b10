//! Where secrets are found, and that they are in no text.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use tripline_config::{
    ConfigMapRef, Input, KnownKind, Secret, SecretError, SecretRef, Secrets, load,
};

const KINDS: &[KnownKind] = &[
    KnownKind { kind: "Secret", api_versions: &["v1"] },
    KnownKind { kind: "ConfigMap", api_versions: &["v1"] },
];

fn reference(name: &str, key: &str) -> SecretRef {
    SecretRef { name: name.to_owned(), key: key.to_owned(), optional: None }
}

fn text(secrets: &Secrets, namespace: &str, name: &str, key: &str) -> String {
    match secrets.get(namespace, &reference(name, key)) {
        Ok(Some(secret)) => secret.expose_str().unwrap().to_owned(),
        Ok(None) => "none".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn with_documents(yaml: &str) -> (Secrets, Vec<String>) {
    let loaded = load(&[Input::text("s.yaml", yaml)], KINDS);
    let mut secrets = Secrets::new();
    let found = secrets.replace_documents(&loaded.objects);
    (secrets, found.iter().map(ToString::to_string).collect())
}

#[test]
fn documents_give_the_secrets_of_their_namespace() {
    let (secrets, found) = with_documents(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ci}\n\
         data: {a: aGk=, b: aGkK, both: aGk=}\nstringData: {c: plain, both: wins}\n",
    );
    assert_eq!(found, [""; 0]);
    for (key, value) in [("a", "hi"), ("b", "hi"), ("c", "plain"), ("both", "wins")] {
        assert_eq!(text(&secrets, "ci", "s", key), value, "{key}");
    }
    assert!(text(&secrets, "default", "s", "a").starts_with("error"));
}

#[test]
fn values_that_cannot_be_read_are_told_without_the_value() {
    let (secrets, found) = with_documents(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n\
         data: {a: hunter2, b: aGk=}\nstringData: {c: 12345}\n",
    );
    assert_eq!(
        found,
        [
            "s.yaml:4:11: error[TL0121]: the value is not base64\n  in Secret default/s, field \
             data.a\n  help: write it under `stringData` as it is",
            "s.yaml:5:17: error[TL0121]: the value must be a string\n  in Secret default/s, field \
             stringData.c\n  help: write it in quotes",
        ]
    );
    assert_eq!(text(&secrets, "default", "s", "b"), "hi");
}

#[test]
fn the_folder_is_looked_at_by_namespace_first_and_read_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let secrets = Secrets::new().folder(folder.path());
    write("github/token", "shared\n");
    assert_eq!(text(&secrets, "ci", "github", "token"), "shared");
    write("ci/github/token", "own\n\n");
    assert_eq!(text(&secrets, "ci", "github", "token"), "own\n");
    write("ci/github/token", "changed");
    assert_eq!(text(&secrets, "ci", "github", "token"), "changed");
    // `ci/github` is a folder: not the key `github` of a Secret `ci`.
    assert!(text(&secrets, "other", "ci", "github").starts_with("error: the key `github`"));
    write("big/key", &"x".repeat(tripline_config::limits::MAX_SECRET_BYTES as usize + 1));
    assert!(matches!(
        secrets.get("ci", &reference("big", "key")),
        Err(SecretError::TooLarge { .. })
    ));
}

#[test]
fn the_environment_is_looked_at_only_where_it_is_enabled() {
    let read = |variable: &str| {
        (variable == "TRIPLINE_SECRET_GIT_HUB_API_TOKEN_1").then(|| "from env\n".to_owned())
    };
    let secrets = Secrets::new().environment(read);
    assert_eq!(text(&secrets, "ci", "git-hub", "api.token_1"), "from env");
    assert!(text(&Secrets::new(), "ci", "git-hub", "api.token_1").starts_with("error"));
}

#[test]
fn a_missing_secret_says_everywhere_it_was_looked_for() {
    let (secrets, _) = with_documents("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n");
    let secrets = secrets.folder("/nowhere").environment(|_| None);
    assert_eq!(
        text(&secrets, "default", "s", "k"),
        "error: the key `k` of the Secret default/s was not found; looked in Secret default/s (it \
         has no such key); the file /nowhere/default/s/k; the file /nowhere/s/k; the environment \
         (TRIPLINE_SECRET_S_K)"
    );
    let optional = SecretRef { optional: Some(true), ..reference("s", "k") };
    assert!(secrets.get("default", &optional).unwrap().is_none());
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outside"), "hunter2").unwrap();
    let inside = folder.path().join("a");
    fs::create_dir_all(inside.join("b")).unwrap();
    let secrets = Secrets::new().folder(&inside);
    for (namespace, name, key) in [
        ("..", "b", "outside"),
        ("ci", "..", "outside"),
        ("ci", "../..", "outside"),
        ("ci", "b", "../../outside"),
        ("ci", "b", ".."),
        ("ci", "b", "."),
        ("ci", "b", "..data"),
        ("ci", "b", ""),
        ("", "b", "k"),
        ("ci", "", "k"),
        ("ci", "/etc", "passwd"),
        ("ci", "b", "/etc/passwd"),
        ("ci", "b", "k\0"),
    ] {
        let found = secrets.get(namespace, &reference(name, key));
        assert!(
            matches!(found, Err(SecretError::InvalidName { .. })),
            "{namespace:?} {name:?} {key:?}: {found:?}"
        );
    }
}

#[test]
fn a_secret_is_in_no_debug_text() {
    let secret = Secret::new(b"hunter2");
    assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    let (secrets, _) = with_documents(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n",
    );
    assert!(!format!("{secrets:#?}").contains("hunter2"));
    let broken = Secret::new(b"\xff");
    assert_eq!(broken.expose_str().unwrap_err().to_string(), "the secret is not UTF-8 text");
}

#[test]
fn config_maps_are_of_their_namespace() {
    let (secrets, found) = with_documents(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: x, b: 1}\n",
    );
    assert_eq!(found.len(), 1);
    let get = |namespace, key: &str, optional| {
        let key = key.to_owned();
        let reference = ConfigMapRef { name: "c".to_owned(), key, optional };
        secrets.config_map(namespace, &reference).map(|found| found.map(str::to_owned))
    };
    assert_eq!(get("default", "a", None).unwrap().as_deref(), Some("x"));
    assert_eq!(get("default", "z", Some(true)).unwrap(), None);
    assert!(get("default", "z", None).is_err() && get("ci", "a", None).is_err());
}
