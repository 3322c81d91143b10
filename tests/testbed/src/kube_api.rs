//! kube-apiserver on etcd. There are no nodes and no controllers: an object stays as it was
//! created, a Workflow too, until somebody changes it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::folder::Folder;
use crate::http::{Answer, Http};
use crate::install::installed;
use crate::kubeconfig::{Credentials, Kubeconfig};
use crate::ports::{free_address, free_port};
use crate::process::{LOOK_EVERY, Process};

/// The token of the administrator.
const ADMIN_TOKEN: &str = "testbed-admin-token";
/// How long what was created may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(30);
/// For how long a token of a service account is valid, in seconds, unless said otherwise.
const TOKEN_SECONDS: u64 = 3600;

/// An API server with its store, RBAC and the custom resources of Argo Workflows. It takes 5 s
/// to start, and 320 MB: most tests do with [`KubeApi::shared`] and a namespace of their own.
pub struct KubeApi {
    // Dropped, and so killed, before its store.
    server: Mutex<Process>,
    _etcd: Process,
    program: PathBuf,
    folder: Folder,
    address: SocketAddr,
    etcd_address: SocketAddr,
    authority: Authority,
    http: Http,
    granted: AtomicU32,
}

/// Whom something is granted to.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A user, by name.
    User(&'a str),
    /// A service account, by namespace and name.
    ServiceAccount(&'a str, &'a str),
}

impl Subject<'_> {
    /// As a subject of a role binding.
    fn bound(self) -> Value {
        match self {
            Self::User(name) => {
                json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name })
            }
            Self::ServiceAccount(namespace, name) => {
                json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
            }
        }
    }

    /// The name that the API server knows it by.
    fn user(self) -> String {
        match self {
            Self::User(name) => name.to_owned(),
            Self::ServiceAccount(namespace, name) => {
                format!("system:serviceaccount:{namespace}:{name}")
            }
        }
    }
}

/// Something that was granted, to be revoked.
#[derive(Debug)]
pub struct Grant {
    binding: String,
    review: Value,
}

impl KubeApi {
    /// One that all tests of this process use, until it ends.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: Mutex<Option<&'static KubeApi>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = *shared {
            return Ok(server);
        }
        let server: &'static Self = Box::leak(Box::new(Self::start()?));
        *shared = Some(server);
        Ok(server)
    }

    /// Starts one.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let programs = installed("kube")?;
        let folder = Folder::new("kube")?;
        let authority = Authority::new("testbed")?;
        write_files(folder.path(), &authority)?;

        let etcd_address = free_address();
        let etcd = spawn_etcd(&programs, folder.path(), etcd_address)?;
        let address = free_address();
        let admin = kubeconfig(address, &authority, Credentials::Token(ADMIN_TOKEN.into()));
        let http = admin.http()?;
        let program = programs.join("kube-apiserver");
        let server = spawn_server(&program, folder.path(), address, etcd_address)?;
        let api = Self {
            server: Mutex::new(server),
            _etcd: etcd,
            program,
            folder,
            address,
            etcd_address,
            authority,
            http,
            granted: AtomicU32::new(0),
        };
        api.ready()?;
        api.create_custom_resources(&programs.join("crds"))?;
        Ok(api)
    }

    fn ready(&self) -> anyhow::Result<()> {
        self.process(|process| process.ready(|| self.http.is_ok("/readyz")))
    }

    fn create_custom_resources(&self, folder: &Path) -> anyhow::Result<()> {
        for file in std::fs::read_dir(folder)? {
            let text = std::fs::read(file?.path())?;
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            self.http.request("POST", path, "application/yaml", &text)?.success()?;
        }
        self.serves_workflows()
    }

    /// It is ready before the stores of custom resources are.
    fn serves_workflows(&self) -> anyhow::Result<()> {
        let path = Self::workflows_path("default");
        wait_for("the custom resources", || Ok(self.http.is_ok(&path)))
    }

    fn process<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process(|process| process.tail())
    }

    // ---------------------------------------------------------------------------- who one is

    fn kubeconfig(&self, credentials: Credentials) -> Kubeconfig {
        kubeconfig(self.address, &self.authority, credentials)
    }

    /// The kubeconfig of somebody who may do everything.
    pub fn admin(&self) -> Kubeconfig {
        self.kubeconfig(Credentials::Token(ADMIN_TOKEN.into()))
    }

    /// The kubeconfig of a user, by a client certificate. They may do what they are granted.
    ///
    /// # Errors
    /// A certificate cannot be made.
    pub fn user(&self, name: &str) -> anyhow::Result<Kubeconfig> {
        let certificate = self.authority.client(name, None)?;
        Ok(self.kubeconfig(Credentials::Certificate(certificate)))
    }

    /// The kubeconfig of a service account, by a token for an hour. The account is created where
    /// it is not there. It may do what it is granted.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn service_account(&self, namespace: &str, name: &str) -> anyhow::Result<Kubeconfig> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.create_if_absent(&path, &json!({ "metadata": { "name": name } }))?;
        let token = self.token(namespace, name, TOKEN_SECONDS)?;
        Ok(self.kubeconfig(Credentials::Token(token)))
    }

    /// A token of a service account, valid for so many seconds: 600 at least.
    ///
    /// # Errors
    /// There is no such account.
    pub fn token(&self, namespace: &str, name: &str, seconds: u64) -> anyhow::Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let token = self.create(&path, &json!({ "spec": { "expirationSeconds": seconds } }))?;
        let token = token.pointer("/status/token").and_then(Value::as_str);
        Ok(token.context("there is no token in the answer")?.to_owned())
    }

    /// Grants the rules, as a role has them, in a namespace, or in all where it is empty.
    /// Returns when they are in force.
    ///
    /// ```no_run
    /// # use serde_json::json;
    /// # use tripline_testbed::{KubeApi, Subject};
    /// # let kube = KubeApi::shared()?;
    /// let submits = json!([{
    ///     "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create", "get"],
    /// }]);
    /// kube.grant("default", Subject::User("submitter"), &submits)?;
    /// # Ok::<_, anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// The server refuses them, or they do not come into force.
    pub fn grant(
        &self,
        namespace: &str,
        subject: Subject<'_>,
        rules: &Value,
    ) -> anyhow::Result<Grant> {
        let name = format!("granted-{}", self.granted.fetch_add(1, Ordering::Relaxed));
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let (roles, bindings, kind) = if namespace.is_empty() {
            (format!("{rbac}/clusterroles"), format!("{rbac}/clusterrolebindings"), "ClusterRole")
        } else {
            let within = format!("{rbac}/namespaces/{namespace}");
            (format!("{within}/roles"), format!("{within}/rolebindings"), "Role")
        };
        self.create(&roles, &json!({ "metadata": { "name": name }, "rules": rules }))?;
        let binding = json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
            "subjects": [subject.bound()],
        });
        self.create(&bindings, &binding)?;
        let grant = Grant {
            binding: format!("{bindings}/{name}"),
            review: review(namespace, subject, rules)?,
        };
        wait_for("what was granted is in force", || self.is_allowed(&grant.review))?;
        Ok(grant)
    }

    /// Takes back what was granted. Returns when it is out of force.
    ///
    /// # Errors
    /// Something else grants the same.
    pub fn revoke(&self, grant: Grant) -> anyhow::Result<()> {
        self.delete(&grant.binding)?;
        wait_for("what was granted is out of force", || Ok(!self.is_allowed(&grant.review)?))
    }

    fn is_allowed(&self, review: &Value) -> anyhow::Result<bool> {
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        Ok(self.create(path, review)?.pointer("/status/allowed") == Some(&Value::Bool(true)))
    }

    // ------------------------------------------------------------------ objects, by their path

    /// A request of the administrator. The body of a PATCH is a merge patch.
    ///
    /// # Errors
    /// There is no answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let content_type = match (method, body) {
            (_, None) => "",
            ("PATCH", _) => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.http.request(method, path, content_type, body.as_bytes())
    }

    /// A request of whom a kubeconfig names, to the server that it names.
    ///
    /// # Errors
    /// There is no answer, or the credentials come from a program.
    pub fn request_as(
        &self,
        who: &Kubeconfig,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let body = body.filter(|body| !body.is_null()).map(ToString::to_string);
        let content_type = if body.is_some() { "application/json" } else { "" };
        who.http()?.request(method, path, content_type, body.unwrap_or_default().as_bytes())
    }

    /// Creates an object; returns it as it was stored.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.request("POST", path, Some(object))?.success().context(path.to_owned())?.json()
    }

    fn create_if_absent(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let answer = self.request("POST", path, Some(object))?;
        if answer.status != 409 {
            answer.success().context(path.to_owned())?;
        }
        Ok(())
    }

    /// Creates a namespace where it is not there.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn create_namespace(&self, name: &str) -> anyhow::Result<()> {
        self.create_if_absent("/api/v1/namespaces", &json!({ "metadata": { "name": name } }))
    }

    /// An object, or none where it is not there.
    ///
    /// # Errors
    /// The server does not answer, or with an error.
    pub fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.request("GET", path, None)?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.success().context(path.to_owned())?.json().map(Some)
    }

    /// All objects of a path.
    ///
    /// # Errors
    /// The server does not answer, or with an error.
    pub fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut list = self.get(path)?.with_context(|| format!("there is no {path}"))?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => anyhow::bail!("{path} is not a list"),
        }
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// It is not there.
    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.request("DELETE", path, None)?.success().context(path.to_owned()).map(drop)
    }

    /// The path of the workflows of a namespace.
    pub fn workflows_path(namespace: &str) -> String {
        format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows")
    }

    /// The workflows of a namespace.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn workflows(&self, namespace: &str) -> anyhow::Result<Vec<Value>> {
        self.list(&Self::workflows_path(namespace))
    }

    /// Sets the phase of a workflow, as Argo's controller does: `Running`, `Succeeded`, `Failed`.
    ///
    /// # Errors
    /// There is no such workflow.
    pub fn set_phase(&self, namespace: &str, name: &str, phase: &str) -> anyhow::Result<()> {
        let path = format!("{}/{name}", Self::workflows_path(namespace));
        let patch = json!({ "status": { "phase": phase } });
        self.request("PATCH", &path, Some(&patch))?.success().context(path).map(drop)
    }

    // ---------------------------------------------------------------------- the server's life

    /// `kill -9` of the API server. What it holds is in its store, which goes on.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.process(Process::kill)
    }

    /// Starts the API server again after [`Self::kill`], on the same port.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&self) -> anyhow::Result<()> {
        let new = spawn_server(&self.program, self.folder.path(), self.address, self.etcd_address)?;
        self.process(|process| *process = new);
        self.ready()?;
        self.serves_workflows()
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process(Process::pause)
    }

    /// It goes on after [`Self::pause`].
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn unpause(&self) -> anyhow::Result<()> {
        self.process(Process::unpause)
    }
}

fn kubeconfig(address: SocketAddr, authority: &Authority, credentials: Credentials) -> Kubeconfig {
    Kubeconfig {
        address,
        authority: authority.certificate(),
        credentials,
        namespace: "default".into(),
    }
}

/// The question whether the first of the rules is in force: they all come at once.
fn review(namespace: &str, subject: Subject<'_>, rules: &Value) -> anyhow::Result<Value> {
    let first = |field: &str| {
        let found = rules.pointer(&format!("/0/{field}/0")).and_then(Value::as_str);
        found.with_context(|| format!("a rule without {field}: {rules}"))
    };
    let (resource, subresource) = match first("resources")?.split_once('/') {
        Some((resource, subresource)) => (resource, subresource),
        None => (first("resources")?, ""),
    };
    Ok(json!({ "spec": {
        "user": subject.user(),
        "resourceAttributes": {
            "namespace": namespace,
            "verb": first("verbs")?,
            "group": first("apiGroups")?,
            "resource": resource,
            "subresource": subresource,
            "name": first("resourceNames").unwrap_or_default(),
        },
    }}))
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + IN_FORCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "{what}: not after {IN_FORCE:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn write_files(folder: &Path, authority: &Authority) -> anyhow::Result<()> {
    let server = authority.server()?;
    let accounts = rcgen::KeyPair::generate()?;
    for (name, text) in [
        ("ca.pem", authority.certificate()),
        ("server.pem", server.certificate),
        ("server.key", server.key),
        ("accounts.key", accounts.serialize_pem()),
        ("accounts.pub", accounts.public_key_pem()),
        ("tokens.csv", format!("{ADMIN_TOKEN},admin,admin,system:masters\n")),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn spawn_etcd(programs: &Path, folder: &Path, address: SocketAddr) -> anyhow::Result<Process> {
    let client = format!("http://{address}");
    let peer = format!("http://127.0.0.1:{}", free_port());
    let mut command = Command::new(programs.join("etcd"));
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "warn"])
        // What a process that is killed has written is kept by the kernel; and a disk that is
        // busy with builds must not make requests time out.
        .arg("--unsafe-no-fsync");
    let mut etcd = Process::spawn("etcd", command, &folder.join("etcd.log"))?;
    let http = Http::plain(address);
    etcd.ready(|| http.is_ok("/health"))?;
    Ok(etcd)
}

fn spawn_server(
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    etcd: SocketAddr,
) -> anyhow::Result<Process> {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .args(["--etcd-servers", &format!("http://{etcd}")])
        .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
        .args(["--secure-port", &address.port().to_string()])
        .args(["--tls-cert-file", "server.pem", "--tls-private-key-file", "server.key"])
        .args(["--client-ca-file", "ca.pem", "--token-auth-file", "tokens.csv"])
        .args(["--authorization-mode", "RBAC"])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--service-account-signing-key-file", "accounts.key"])
        .args(["--service-account-key-file", "accounts.pub"])
        // Pods would need a service account, which a controller makes.
        .args(["--disable-admission-plugins", "ServiceAccount"])
        .args(["--service-cluster-ip-range", "10.96.0.0/16"])
        .args(["--endpoint-reconciler-type", "none"]);
    Process::spawn("kube-apiserver", command, &folder.join("kube-apiserver.log"))
}
