//! The codes of the problems that this crate reports: `TL02` and two digits.
//!
//! A code never changes its meaning; one that is no longer used is not given out again.

tripline_config::codes! {
    UNKNOWN_KIND = "TL0200", "A key of `spec` is no kind of event source.",
        "Events stand below the key of their kind, as in Argo Events: `webhook`, `calendar`, \
         `pubSub`, … Upper and lower case count.";
    KIND_NOT_SUPPORTED = "TL0201", "Tripline does not have this kind of event source yet.",
        "Argo Events has it. The event source is refused as a whole: a part of it would look as \
         if it ran.";
    BAD_FILTER = "TL0202", "A `filter.expression` that cannot be compiled.",
        "The message says at which column. The language is that of `expr`, as in Argo Events: \
         `body.ref == \"refs/heads/main\" && len(body.commits) > 0`.";
    DUPLICATE_EVENT = "TL0204", "Two kinds of one event source have an event of the same name.",
        "A sensor names an event by event source and event name; the kind is not part of that.";
    WRONG_SHAPE = "TL0205", "A part of an event source that should be a mapping is none.",
        "`spec` maps kinds to events, and each kind maps event names to what they are.";
    UNKNOWN_FIELD = "TL0206", "Nobody knows this field of an event source's `spec`.",
        "Argo Events ignores it, so under `argoproj.io/v1alpha1` this is a warning.";
    NO_EVENTS = "TL0207", "An event source has no events.",
        "It does nothing. Add a kind with an event below it.";
    KIND_LEFT_OUT = "TL0208", "This program was built without this kind of event source.",
        "It is behind a cargo feature, which the message names. The programs that are released \
         have all of them.";
    ENDPOINT = "TL0210", "The endpoint of a webhook is no path, or is taken.",
        "An endpoint is a path without query: `/builds`, `/builds/{id}`, `/builds/{id:[0-9]+}`. \
         `/health` answers health checks on every port.";
    PORT = "TL0211", "The port of a webhook is no port.",
        "A port is a number from 1 to 65535, as text: `port: \"12000\"`.";
    METHOD = "TL0212", "The method of a webhook is none that is answered with success.",
        "As in Argo Events, methods are compared as they are, and all but `GET` and `POST` are \
         answered 400.";
    CLASH = "TL0213", "Two webhooks cannot be told apart.",
        "They have the same method, path and port. Change one of the three. In a cluster each \
         would have a service of its own; here they share the port.";
    TLS = "TL0214", "The TLS of a webhook cannot be as it is configured.",
        "Certificate and key must both be given, be there and fit, and all webhooks of a port \
         must name the same.";
    PAYLOAD_LIMIT = "TL0215", "The payload limit of a webhook is too large.",
        "Each request may take this much memory.";
    IDEMPOTENCY_KEY = "TL0216", "The idempotency key of a webhook names nothing, or two things.",
        "Give either `header`, the name of one, or `path`, a path into the body: `body.build.id`.";
    LISTEN = "TL0217", "The port of a webhook cannot be listened on.",
        "Another program has it, or it is below 1024 and needs more rights. It is tried again \
         until it works.";
    NO_SCHEDULE = "TL0220", "A calendar has neither `schedule` nor `interval`.",
        "One of the two says when it ticks.";
    SCHEDULE = "TL0221", "The schedule of a calendar cannot be read.",
        "Five fields: minute, hour, day of month, month, day of week.";
    INTERVAL = "TL0222", "The interval of a calendar is no duration of a second or more.",
        "Durations are written as in Go: `10s`, `1h30m`.";
    TIMEZONE = "TL0223", "The time zone of a calendar is unknown.",
        "Zones are those of the IANA database: `Europe/Berlin`. Argo Events finds this out only \
         when the event source starts.";
    EXCLUSION_DATE = "TL0224", "An entry of `exclusionDates` excludes nothing.",
        "Argo Events ignores entries that do not begin with `EXDATE:` in silence; here they are \
         errors. Year, month and day of each time count.";
    PUBSUB_NAMES = "TL0230", "A project, topic or subscription of Pub/Sub is missing, or has no such name.",
        "`subscriptionID`, `topic`, or both are needed, each without `projects/…/`. \
         `topicProjectID` and `create` need `topic`.";
    PUBSUB_ENDPOINT = "TL0231", "The endpoint of Pub/Sub is no address.",
        "`http://HOST:PORT` is an emulator and is given no credentials; `https://HOST` is given \
         those of the event source.";
    PUBSUB_OUTSTANDING = "TL0232", "A bound on what is held of a subscription is out of range.",
        "What is held is in memory, in messages and in bytes.";
    UNWRAP = "TL0239", "`unwrap` names something that messages of this kind do not hold.",
        "`sqs`: `sns` or `s3`. `sns`: `sns` or `s3`. `pubSub`: `gcs`.";
    SQS_QUEUE = "TL0240", "The queue of SQS is no name of a queue.",
        "It is named by its name alone, without URL or ARN; `queueAccountId` and `region` say \
         where it is.";
    SQS_ENDPOINT = "TL0241", "The endpoint of SQS is no address.",
        "`http://HOST:PORT` of an emulator, or `https://HOST` of a VPC endpoint.";
    SQS_CREDENTIALS = "TL0242", "The credentials for SQS are not complete, or the role is no ARN.",
        "`accessKey` and `secretKey` come together; without both, the default chain is used.";
    SQS_WAIT = "TL0243", "The waiting time of SQS is out of range.",
        "SQS waits from 1 to 20 seconds for a message.";
    SNS_TOPIC = "TL0244", "The topic of SNS is no ARN, or SNS cannot post to the URL.",
        "`topicArn` is `arn:aws:sns:REGION:ACCOUNT:NAME`. `webhook.url` is where SNS reaches the \
         port: `https://HOST`.";
    SNS_ACCESS = "TL0245", "The endpoint of SNS is no address, or its credentials are not complete.",
        "`accessKey` and `secretKey` come together; without both, the default chain is used.";
    KAFKA_TOPIC = "TL0250", "Where the messages of Kafka are is not said, or cannot be.",
        "`url` names brokers as `HOST:PORT`, `topic` a topic, and `consumerGroup` or `partition` \
         what of it is read.";
    KAFKA_AUTH = "TL0251", "The TLS or the user of Kafka cannot be as it is configured.",
        "`sasl` needs `userSecret` and `passwordSecret`, and has the mechanisms PLAIN, \
         SCRAM-SHA-256 and SCRAM-SHA-512. Certificate and key of a client go together.";
    KAFKA_CONFIG = "TL0252", "A setting of Kafka's client cannot be obeyed.",
        "`config` has the settings of Argo Events' client. Those that only say how that client \
         works inside have no effect, which is a warning.";
    KAFKA_NOT_SUPPORTED = "TL0253", "Argo Events has this field of Kafka, Tripline does not.",
        "The event source is refused, since its messages could not be read, or not as they are \
         meant.";
    NATS_SUBJECT = "TL0260", "Where the messages of NATS are is not said, or cannot be.",
        "`url` names servers as `nats://HOST:PORT`, without a password, and `subject` what is \
         subscribed to.";
    NATS_JETSTREAM = "TL0261", "The consumer of JetStream cannot be as it is configured.",
        "`stream` is needed; `deliverPolicy` says where a consumer that is made begins, and \
         `ackWait` is a duration from `1s` to `1h`.";
    NATS_AUTH = "TL0262", "The user or the TLS of NATS is not complete.",
        "`basic` needs `username` and `password`. Certificate and key of a client go together.";
}
