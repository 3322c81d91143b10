//! The codes of the problems that this crate reports: `TL04` and two digits.

tripline_config::codes! {
    UNKNOWN_KIND = "TL0400", "The trigger has no kind that is known.",
        "A trigger's template has a name, conditions, and one kind: `argoWorkflow`, `http`, `log`, \
         or another of those that Argo Events has.";
    KIND_NOT_SUPPORTED = "TL0401", "Argo Events has this kind of trigger, Tripline does not yet.",
        "The sensor is refused, since the trigger would never be carried out.";
    OPERATION = "TL0403", "The operation is none that a workflow, or an object, has.",
        "Workflows: `submit`, `submit-from`, `resubmit`, `retry`, `suspend`, `resume`, `stop`, \
         `terminate`. Objects: `create`, `update`, `patch`, `delete`.";
    ARGS = "TL0404", "An entry of `args` has no meaning for the operation, or no valid value.",
        "Argo Events hands `args` to the program `argo`, which Tripline does not run. Options that \
         say something of the workflow are understood; those that say how the program talks to \
         its terminal or server are not, and are refused rather than ignored.";
    SOURCE = "TL0405", "The trigger has no object to create, or one that it cannot create.",
        "`source.resource` holds the whole object. For `argoWorkflow` that is a `Workflow` of \
         `argoproj.io/v1alpha1`.";
    SOURCE_NOT_SUPPORTED = "TL0406", "Argo Events has this source of objects, Tripline does not yet.",
        "Write the object under `source.resource`.";
    POLICY = "TL0407", "This `policy` has no meaning for the kind, or is wrong.",
        "`policy.status` is obeyed by `http`, `policy.k8s` by `k8s` and `argoWorkflow`. A policy \
         that is not obeyed is refused, since what counts as success would be something else than \
         what the sensor says.";
    STATUS = "TL0408", "An entry of `policy.status.allow` is no HTTP status.",
        "A status is a number from 100 to 599.";
    URL = "TL0410", "The URL is none that a request can be sent to.",
        "It is absolute and begins with `http://` or `https://`. User and password do not stand in \
         it: `basicAuth` names secrets.";
    METHOD = "TL0411", "The method is not one of GET, DELETE, PATCH, POST and PUT.",
        "These are the methods that Argo Events takes. Without `method` it is POST.";
    HEADER = "TL0412", "The name or value of a header is not a valid one.",
        "A name has letters, digits and `-`; a value has no line breaks or other control \
         characters.";
    TLS = "TL0413", "`tls` names too little.",
        "It has `caCertSecret`, or `clientCertSecret` and `clientKeySecret`, or all three. HTTPS \
         with the system's root certificates needs no `tls`.";
    TIMEOUT = "TL0415", "The timeout is no number of seconds from 1 to 3600.",
        "Without `timeout` it is 60 seconds.";
    CLUSTER = "TL0430", "The Cluster cannot be used as it is written.",
        "A Cluster is reached in exactly one way: `kubeconfig.secret`, `kubeconfig.file` with \
         `context`, or `inCluster: true`. Its name is not `local`.";
    CLOUD_NAME = "TL0450", "A queue, topic, project, group or subject is missing, or has no such name.",
        "A queue of SQS and a topic of Pub/Sub are named by their names alone, a topic of SNS by its \
         ARN. `messageGroupId` is for FIFO queues and topics, whose names end in `.fifo`.";
    CLOUD_ACCESS = "TL0451", "The endpoint is no address, or the credentials are not complete.",
        "`http://HOST:PORT` of an emulator, or `https://HOST`. `accessKey` and `secretKey` come \
         together; without both, the default chain is used.";
    ATTRIBUTES = "TL0452", "An attribute of the message has no valid name or value, or there are too many.",
        "A message of SQS or SNS has ten attributes at most; five of them tell of its chain.";
    PAYLOAD = "TL0453", "The message has no body.",
        "`payload` says what of the events it holds.";
    NATS_SUBJECT = "TL0460", "Where the message of NATS goes is not said, or cannot be.",
        "`url` names servers as `nats://HOST:PORT`, without a password; `subject` has no wildcards.";
    NATS_AUTH = "TL0461", "The user or the TLS of NATS is not complete.",
        "`basic` needs `username` and `password`. Certificate and key of a client go together.";
    SECURE_HEADER = "TL0416", "A secure header names no secret, or two.",
        "`valueFrom` has either `secretKeyRef` or `configMapKeyRef`.";
    KAFKA_TOPIC = "TL0470", "Where the message of Kafka goes is not said, or cannot be.",
        "`url` names brokers as `HOST:PORT`, and `topic` a topic.";
    KAFKA_AUTH = "TL0471", "The TLS or the user of Kafka cannot be as it is configured.",
        "`sasl` needs `userSecret` and `passwordSecret`, and has the mechanisms PLAIN, \
         SCRAM-SHA-256 and SCRAM-SHA-512. Certificate and key of a client go together.";
    KAFKA_CONFIG = "TL0472", "A setting of a message to Kafka cannot be obeyed.",
        "`requiredAcks` is -1 or 1: without an acknowledgement nobody could say whether the \
         message was taken. `flushFrequency` is a number of milliseconds.";
    KAFKA_NOT_SUPPORTED = "TL0473", "Argo Events has this field of Kafka, Tripline does not.",
        "The sensor is refused, since its messages would not be what it says.";
}
