//! Files and folders become objects, and everything that is wrong is told with its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tripline_config::{
    FieldPath, Input, KnownKind, Loaded, Problem, codes, fingerprint, load, output,
};

const KINDS: &[KnownKind] = &[
    KnownKind { kind: "Sensor", api_versions: &["argoproj.io/v1alpha1", "tripline.dev/v1"] },
    KnownKind { kind: "Cluster", api_versions: &["tripline.dev/v1"] },
    KnownKind { kind: "Secret", api_versions: &["v1"] },
];

fn sensor(name: &str) -> String {
    format!("apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {{name: {name}}}\n")
}

fn read(text: &str) -> Loaded {
    load(&[Input::text("<stdin>", text)], KINDS)
}

fn load_path(path: &Path) -> Loaded {
    load(&[Input::Path(path.to_owned())], KINDS)
}

fn names(loaded: &Loaded) -> Vec<String> {
    loaded.objects.iter().map(|object| object.name.to_string()).collect()
}

fn told(loaded: &Loaded) -> Vec<String> {
    let line = |of: &tripline_config::Diagnostic| {
        format!("{} {}:{} {}", of.code, of.place.line, of.place.column, of.message)
    };
    loaded.diagnostics.iter().map(line).collect()
}

#[test]
fn folders_are_read_in_order_without_hidden_and_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("b/.git")).unwrap();
    fs::create_dir(at("empty.yaml")).unwrap();
    fs::write(at("c.yml"), sensor("c")).unwrap();
    fs::write(at("a.yaml"), sensor("a")).unwrap();
    fs::write(
        at("b/b.json"),
        "{\"apiVersion\":\"tripline.dev/v1\",\"kind\":\"Sensor\",\"metadata\":{\"name\":\"b\"}}",
    )
    .unwrap();
    for ignored in ["b/.git/x.yaml", ".hidden.yaml", "README.md", "b/notes"] {
        fs::write(at(ignored), sensor("wrong")).unwrap();
    }
    let loaded = load_path(folder.path());
    assert_eq!(names(&loaded), ["default/a", "default/b", "default/c"]);
    assert_eq!(loaded.files, 3);
    assert_eq!(told(&loaded), [""; 0]);
}

/// The shape of a mounted ConfigMap: links into `..data`, itself a link that is swapped.
#[test]
fn a_mounted_config_map_is_read_once_and_a_swap_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, name) in [("..2026_1", "old"), ("..2026_2", "new")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("s.yaml"), sensor(name)).unwrap();
    }
    symlink("..2026_1", at("..data")).unwrap();
    symlink("..data/s.yaml", at("s.yaml")).unwrap();
    let inputs = [Input::Path(folder.path().to_owned())];

    let before = fingerprint(&inputs);
    assert_eq!(before, fingerprint(&inputs));
    assert_eq!(names(&load(&inputs, KINDS)), ["default/old"]);

    symlink("..2026_2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_ne!(before, fingerprint(&inputs));
    let loaded = load(&inputs, KINDS);
    assert_eq!(names(&loaded), ["default/new"]);
    assert_eq!((loaded.files, told(&loaded)), (1, vec![]));
}

#[test]
fn links_do_not_lead_in_circles_and_no_file_is_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.yaml"), sensor("a")).unwrap();
    symlink("a.yaml", at("b.yaml")).unwrap();
    symlink(".", at("round")).unwrap();
    let inputs = [Input::Path(folder.path().to_owned()), Input::Path(at("a.yaml"))];
    let loaded = load(&inputs, KINDS);
    assert_eq!((names(&loaded).len(), told(&loaded)), (1, vec![]));
}

#[test]
fn a_file_that_is_named_is_read_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".sensors.txt");
    fs::write(&file, sensor("a")).unwrap();
    assert_eq!(names(&load_path(&file)), ["default/a"]);
}

#[test]
fn what_cannot_be_found_is_told_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), sensor("a")).unwrap();
    symlink("nowhere", folder.path().join("b.yaml")).unwrap();
    let missing = folder.path().join("missing");
    let inputs = [Input::Path(missing.clone()), Input::Path(folder.path().to_owned())];
    let loaded = load(&inputs, KINDS);
    assert_eq!(names(&loaded), ["default/a"]);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, [codes::UNREADABLE, codes::UNREADABLE]);
    assert_eq!(loaded.incomplete.len(), 2);

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(load_path(empty.path()).diagnostics[0].code, codes::NO_FILES);
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let text = "#".repeat(tripline_config::limits::MAX_FILE_BYTES as usize + 1);
    assert_eq!(read(&text).diagnostics[0].code, codes::LIMIT);
}

#[test]
fn other_kinds_are_skipped_with_a_count() {
    let loaded = read(
        "{apiVersion: apps/v1, kind: Deployment}\n---\n{apiVersion: apps/v1, kind: Deployment}\n\
         ---\n{apiVersion: cluster.x-k8s.io/v1, kind: Cluster}\n\
         ---\n{apiVersion: argoproj.io/v1alpha1, kind: Rollout}\n",
    );
    assert_eq!(told(&loaded), [""; 0]);
    let skipped: Vec<_> = loaded.skipped.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    assert_eq!(
        skipped,
        ["apps/v1/Deployment 2", "argoproj.io/v1alpha1/Rollout 1", "cluster.x-k8s.io/v1/Cluster 1"]
    );
}

#[test]
fn headers_that_are_mistakes() {
    for (text, expected) in [
        (
            "{apiVersion: argoproj.io/v1alpha2, kind: Sensor}",
            "TL0106 1:14 Sensor is not known under `argoproj.io/v1alpha2`",
        ),
        (
            "{apiVersion: argproj.io/v1alpha1, kind: Sensor}",
            "TL0106 1:14 Sensor is not known under `argproj.io/v1alpha1`",
        ),
        ("{apiVersion: argoproj.io/v1alpha1, kind: Sensr}", "TL0107 1:42 unknown kind `Sensr`"),
        ("{apiVersion: tripline.dev/v1, kind: Whatever}", "TL0107 1:37 unknown kind `Whatever`"),
        ("{kind: Sensor}", "TL0105 1:1 `apiVersion` is missing"),
        ("{apiVersion: v1}", "TL0105 1:1 `kind` is missing"),
        ("{apiVersion: v1, kind: [a]}", "TL0105 1:24 `kind` must be a string"),
        ("{apiVersion: 1, kind: Sensor}", "TL0105 1:14 `apiVersion` must be a string"),
        ("hello", "TL0105 1:1 the document is a single value"),
    ] {
        let loaded = read(text);
        assert_eq!(told(&loaded), [expected], "{text}");
        assert!(loaded.has_errors() && loaded.incomplete.len() == 1, "{text}");
    }
    for text in ["a: 1", "- a"] {
        let loaded = read(text);
        assert!(loaded.diagnostics.len() == 1 && !loaded.has_errors(), "{text}");
    }
}

#[test]
fn names_that_are_mistakes() {
    let head = "apiVersion: tripline.dev/v1\nkind: Sensor\n";
    for (metadata, expected) in [
        ("", "TL0108 1:1 `metadata.name` is missing"),
        ("metadata: a", "TL0108 3:11 `metadata` must be a mapping"),
        ("metadata: {}", "TL0108 3:11 `metadata.name` is missing"),
        ("metadata: {name: ''}", "TL0108 3:11 `metadata.name` is missing"),
        ("metadata: {name: }", "TL0108 3:11 `metadata.name` is missing"),
        ("metadata: {name: 12}", "TL0113 3:18 `metadata.name` must be a string"),
        ("metadata: {name: ../a}", "TL0108 3:18 `../a` is no valid name"),
        ("metadata: {name: a..b}", "TL0108 3:18 `a..b` is no valid name"),
        ("metadata: {name: a, namespace: b.c}", "TL0108 3:32 `b.c` is no valid namespace"),
        (
            "metadata: {generateName: a-}",
            "TL0108 3:12 `metadata.generateName` is given, but `metadata.name` is needed",
        ),
    ] {
        let loaded = read(&format!("{head}{metadata}\n"));
        assert_eq!(told(&loaded), [expected], "{metadata}");
        assert!(loaded.objects.is_empty(), "{metadata}");
    }
    let good = read(&format!("{head}metadata: {{name: a.b-1, namespace: ci}}\n"));
    assert_eq!(names(&good), ["ci/a.b-1"]);
}

#[test]
fn an_object_that_is_there_twice_is_an_error_with_both_places() {
    let inputs = [
        Input::text("a.yaml", sensor("x")),
        Input::text("b.yaml", format!("# b\n{}", sensor("x"))),
    ];
    let loaded = load(&inputs, KINDS);
    assert_eq!(names(&loaded), ["default/x"]);
    assert_eq!(
        loaded.diagnostics[0].to_string(),
        "b.yaml:2:1: error[TL0109]: Sensor default/x is defined twice: here and at a.yaml:1:1\n  \
         in Sensor default/x\n  help: rename or remove one of them"
    );
}

#[test]
fn lists_are_unfolded_with_their_places() {
    let loaded = read(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: tripline.dev/v1\n  kind: Sensor\n  \
         metadata: {name: a}\n  spec: {b: 1, b: 2}\n- apiVersion: v1\n  kind: Service\n---\n\
         apiVersion: argoproj.io/v1alpha1\nkind: SensorList\nitems:\n- metadata: {name: c}\n",
    );
    assert_eq!(names(&loaded), ["default/a", "default/c"]);
    assert_eq!(loaded.objects[1].api_version, "argoproj.io/v1alpha1");
    assert_eq!(loaded.skipped.len(), 1);
    let found = &loaded.diagnostics[0];
    assert_eq!((found.field.as_str(), found.place.line, found.place.column), ("spec.b", 7, 16));
    assert!(loaded.objects[0].broken);
    let spec = FieldPath::root().key("spec");
    assert_eq!(loaded.objects[0].locate(&spec, false).to_string(), "<stdin>:7:9");
    assert_eq!(loaded.objects[0].locate(&spec, true).to_string(), "<stdin>:7:3");
}

#[test]
fn a_missing_field_is_at_its_nearest_parent() {
    let spec = "spec:\n  triggers:\n    - template: {}\n  dependencies:\n  other: 1\n";
    let loaded = read(&(sensor("a") + spec));
    let at = |path: FieldPath| {
        let place = loaded.objects[0].locate(&path, false);
        (place.line, place.column)
    };
    let triggers = FieldPath::root().key("spec").key("triggers");
    assert_eq!(at(triggers.index(0).key("template").key("name")), (6, 17));
    assert_eq!(at(triggers.index(7).key("template")), (6, 5));
    assert_eq!(at(FieldPath::root().key("spec").key("dependencies").index(0)), (7, 15));
    assert_eq!(at(FieldPath::root().key("status")), (1, 1));
}

#[test]
fn the_definition_does_not_depend_on_what_a_cluster_adds() {
    let plain = read(&format!("{}spec: {{b: 1, a: 2}}\n", sensor("a")));
    let (hash, json) = plain.objects[0].definition();
    assert_eq!(
        json,
        "{\"apiVersion\":\"argoproj.io/v1alpha1\",\"kind\":\"Sensor\",\
         \"metadata\":{\"name\":\"a\"},\"spec\":{\"a\":2,\"b\":1}}"
    );
    let added = read(
        "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nspec: {a: 2, b: 1}\nstatus: {x: 1}\n\
         metadata:\n  name: a\n  uid: u\n  resourceVersion: '1'\n  generation: 3\n  \
         creationTimestamp: null\n  managedFields: []\n  annotations:\n    \
         kubectl.kubernetes.io/last-applied-configuration: '{}'\n",
    );
    assert_eq!(added.objects[0].definition().0, hash);
}

#[test]
fn a_value_of_a_secret_is_in_no_text() {
    let loaded = read(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: hunter2\n  a: hunter2\n",
    );
    let mut texts = vec![format!("{loaded:?}"), loaded.objects[0].definition().1];
    texts.push(output::human(&loaded.diagnostics, &loaded.sources, false));
    texts.push(output::json(&loaded.diagnostics));
    texts.push(output::github(&loaded.diagnostics));
    texts.push(output::sarif(&loaded.diagnostics, &codes::explain));
    assert_eq!(loaded.diagnostics.len(), 1);
    for text in texts {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn people_see_the_line_and_the_column() {
    let loaded = read(&format!("{}spec:\n  filtrs: {{}}\n", sensor("a")));
    let path = FieldPath::root().key("spec").key("filtrs");
    let problem = Problem {
        at_key: true,
        ..Problem::error(codes::UNKNOWN_FIELD, path, "unknown field `filtrs`")
            .help("did you mean `filters`?")
    };
    let found = [loaded.objects[0].diagnose(problem)];
    assert_eq!(
        output::human(&found, &loaded.sources, false),
        "<stdin>:5:3: error[TL0116]: unknown field `filtrs`\n  5 |   filtrs: {}\n    |   ^\n  \
         in Sensor default/a, field spec.filtrs\n  help: did you mean `filters`?\n"
    );
    assert!(output::human(&found, &loaded.sources, true).contains("\u{1b}[1;31merror[TL0116]"));
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let loaded = read("apiVersion: \"tripline.dev/v1\"\nkind: \"a\\e[2J\\nb\"\n");
    let text = output::human(&loaded.diagnostics, &loaded.sources, false);
    assert!(!text.contains('\u{1b}') && text.contains("`a\\u{1b}[2J\\nb`"), "{text}");
    assert_eq!(output::github(&loaded.diagnostics).lines().count(), 1);
}

#[test]
fn machines_get_json_github_commands_and_sarif() {
    let input = Input::text("a b,c:%.yaml", "kind: Sensor");
    let loaded = load(&[input], KINDS);
    assert_eq!(
        output::github(&loaded.diagnostics),
        "::error file=a b%2Cc%3A%25.yaml,line=1,col=1,title=TL0105::`apiVersion` is missing%0A\
         help: an object has `apiVersion`, `kind` and `metadata.name`\n"
    );
    let json: serde_json::Value = serde_json::from_str(&output::json(&loaded.diagnostics)).unwrap();
    assert_eq!((&json["errors"], &json["warnings"]), (&1.into(), &0.into()));
    assert_eq!(json["diagnostics"][0]["place"]["line"], 1);
    assert_eq!(json["diagnostics"][0]["severity"], "error");
    let sarif: serde_json::Value =
        serde_json::from_str(&output::sarif(&loaded.diagnostics, &codes::explain)).unwrap();
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "TL0105");
    let result = &run["results"][0];
    assert_eq!((&result["ruleIndex"], &result["level"]), (&0.into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b%2Cc%3A%25.yaml");
    assert_eq!(place["region"]["startColumn"], 1);
}
