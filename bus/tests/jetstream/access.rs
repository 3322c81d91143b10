//! Who may connect, and what is said where it is refused.

use tripline_bus::jetstream::{Auth, OpenError, OpenOptions, Severity, Tls, preflight};
use tripline_testbed::{Authority, Nats, NatsConfig};

use super::*;

async fn works(options: &OpenOptions) {
    let bus = open(options).await;
    append_until_stored(&*bus, Log::Events, vec![with_id("a", "a")]).await;
    assert_eq!(read_all(&*bus, Log::Events).await, ["a"]);
}

async fn refused(options: &OpenOptions) -> OpenError {
    let options = OpenOptions { wait: Duration::ZERO, ..options.clone() };
    match JetStreamBus::open(&options).await {
        Ok(_) => panic!("it was let in"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_a_token_and_an_nkey_are_let_in_and_others_not() {
    let (seed, public) = nkey();
    let user = Auth::User { name: "tripline".into(), password: "secret".into() };
    for (config, auth, wrong) in [
        (
            "authorization { user: tripline, password: secret }".to_owned(),
            user,
            Auth::User { name: "tripline".into(), password: "other".into() },
        ),
        (
            "authorization { token: secret }".to_owned(),
            Auth::Token("secret".into()),
            Auth::Token("other".into()),
        ),
        (
            format!("authorization {{ users: [ {{ nkey: {public} }} ] }}"),
            Auth::Nkey(seed),
            Auth::Nkey(nkey().0),
        ),
    ] {
        let nats = Nats::with(NatsConfig::default().also(&config)).unwrap();
        let options = options(&nats.url());
        works(&OpenOptions { auth, ..options.clone() }).await;
        for auth in [wrong, Auth::Nobody] {
            let error = refused(&OpenOptions { auth, ..options.clone() }).await;
            assert!(matches!(error, OpenError::Refused { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_with_a_jwt_are_let_in() {
    let Operator { config, creds } = operator();
    let nats = Nats::with(NatsConfig::default().also(&config)).unwrap();
    let options = options(&nats.url());
    works(&OpenOptions { auth: Auth::Creds(creds), ..options.clone() }).await;
    let error = refused(&OpenOptions { auth: Auth::Creds("nonsense".into()), ..options }).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_a_certificate_of_one_s_own() {
    let authority = Authority::new("testbed").unwrap();
    let nats = Nats::with(NatsConfig::default().tls(&authority, true).unwrap()).unwrap();
    let options = options(&nats.url().replace("nats://", "tls://"));
    let client = authority.client("tripline", None).unwrap();
    let tls = Tls {
        required: true,
        ca: Some(authority.certificate()),
        identity: Some((client.certificate, client.key)),
        any_server: false,
    };
    works(&OpenOptions { tls: tls.clone(), ..options.clone() }).await;
    for tls in [Tls { ca: None, ..tls.clone() }, Tls { identity: None, ..tls }] {
        refused(&OpenOptions { tls, ..options.clone() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_server_is_said_in_a_sentence() {
    let nats = Nats::start().unwrap();
    let one = options(&nats.url());
    let said = |findings: &[tripline_bus::jetstream::Finding], what: &str, severity| {
        assert!(
            findings.iter().any(|one| one.text.contains(what) && one.severity == severity),
            "{what}: {findings:?}"
        );
    };
    said(&preflight(&one).await, "sync_interval", Severity::Note);
    said(&open(&one).await.preflight().await, "sync_interval", Severity::Note);
    let account = "accounts { plain { users: [ { user: plain, password: plain } ] } }";
    let nats = Nats::with(NatsConfig::default().also(account)).unwrap();
    let plain = OpenOptions {
        auth: Auth::User { name: "plain".into(), password: "plain".into() },
        ..options(&nats.url())
    };
    said(&preflight(&plain).await, "JetStream is not on", Severity::Wrong);
    let error = refused(&plain).await;
    assert!(matches!(error, OpenError::NoJetStream { .. }), "{error}");
    let limited = "authorization { users: [ { user: a, password: a, permissions: { publish: [\"x\"], subscribe: [\"_INBOX.>\"] } } ] }";
    let nats = Nats::with(NatsConfig::default().also(limited)).unwrap();
    let auth = Auth::User { name: "a".into(), password: "a".into() };
    let limited = OpenOptions { auth, ..options(&nats.url()) };
    said(&preflight(&limited).await, "may not use JetStream's API", Severity::Wrong);
    let nobody = OpenOptions { wait: Duration::ZERO, ..OpenOptions::new("nats://127.0.0.1:1") };
    said(&preflight(&nobody).await, "cannot be reached", Severity::Wrong);
    let error = refused(&OpenOptions { prefix: "a b".into(), ..nobody }).await;
    assert!(matches!(error, OpenError::Prefix(_)), "{error}");
}

/// The seed and the public key of a new user.
fn nkey() -> (String, String) {
    let pair = nkeys::KeyPair::new_user();
    (pair.seed().unwrap(), pair.public_key())
}

/// A server's configuration that trusts an operator, and the `.creds` of a user of it.
struct Operator {
    config: String,
    creds: String,
}

fn operator() -> Operator {
    let (operator, account, system, user) = (
        nkeys::KeyPair::new_operator(),
        nkeys::KeyPair::new_account(),
        nkeys::KeyPair::new_account(),
        nkeys::KeyPair::new_user(),
    );
    let limits = r#""subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1"#;
    let storage = r#""mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1"#;
    let operator_jwt = jwt(&operator, &operator.public_key(), r#""type":"operator","version":2"#);
    let account_jwt = jwt(
        &operator,
        &account.public_key(),
        &format!(r#""limits":{{{limits},{storage}}},"type":"account","version":2"#),
    );
    let system_jwt = jwt(
        &operator,
        &system.public_key(),
        &format!(r#""limits":{{{limits}}},"type":"account","version":2"#),
    );
    let user_jwt = jwt(
        &account,
        &user.public_key(),
        r#""pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,"type":"user","version":2"#,
    );
    let config = format!(
        "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n  {account}: {account_jwt}\n  {system}: {system_jwt}\n}}",
        system = system.public_key(),
        account = account.public_key(),
    );
    let seed = user.seed().unwrap();
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    Operator { config, creds }
}

/// A JWT as NATS has them: signed by `issuer` about `subject`.
fn jwt(issuer: &nkeys::KeyPair, subject: &str, nats: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let header = BASE64.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = format!(
        r#"{{"jti":"{subject}","iat":1700000000,"iss":"{}","name":"test","sub":"{subject}","nats":{{{nats}}}}}"#,
        issuer.public_key()
    );
    let signed = format!("{header}.{}", BASE64.encode(claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64.encode(signature))
}
