//! Each server starts, answers a real request, and ends with its handle.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tripline_testbed::{
    Authority, ElasticMq, Kafka, Message, Moto, Nats, NatsCluster, NatsConfig, PubSub, Toxiproxy,
};

/// How long what was killed may take to be gone.
const SOON: Duration = Duration::from_secs(60);

/// Waits until nobody listens at an address.
fn is_gone(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    while TcpStream::connect(address).is_ok() {
        ensure!(Instant::now() < deadline, "somebody listens on {address} still");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What a nats-server answers to lines of its protocol: the lines up to the one that begins
/// with `last`.
fn nats_says(address: SocketAddr, lines: &str, last: &str) -> anyhow::Result<Vec<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(lines.as_bytes())?;
    let mut said = Vec::new();
    for line in BufReader::new(stream).lines() {
        said.push(line?);
        if said.last().is_some_and(|line| line.starts_with(last)) {
            return Ok(said);
        }
    }
    anyhow::bail!("the connection ended after {said:?}")
}

/// Asks JetStream's API; returns the line of JSON that it answers.
fn jetstream(nats: &Nats, subject: &str, request: &str) -> anyhow::Result<serde_json::Value> {
    let lines = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\nPUB $JS.API.{subject} answers {}\r\n{request}\r\n",
        request.len()
    );
    let said = nats_says(nats.address(), &lines, "{")?;
    Ok(serde_json::from_str(said.last().context("an answer")?)?)
}

/// The name of a test's own process, when it is to start a server and be killed.
const CHILD: &str = "TESTBED_CHILD";

#[test]
fn a_server_outlives_the_thread_that_started_it_and_ends_with_its_process() -> anyhow::Result<()> {
    if std::env::var_os(CHILD).is_some() {
        let nats =
            std::thread::spawn(Nats::start).join().map_err(|_| anyhow::anyhow!("panic"))??;
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline {
            nats_says(nats.address(), "", "INFO")?;
        }
        println!("\nserving {}", nats.address());
        std::io::stdout().flush()?;
        loop {
            std::thread::park();
        }
    }
    let this = "a_server_outlives_the_thread_that_started_it_and_ends_with_its_process";
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
        line.strip_prefix("serving ").and_then(|address| address.parse::<SocketAddr>().ok())
    });
    let address = addresses.next();
    child.kill()?;
    child.wait()?;
    is_gone(address.context("it has not started a server")?)
}

const STREAM: &str = r#"{"name":"S","subjects":["s"],"storage":"file"}"#;

#[test]
fn nats_keeps_its_streams_when_it_is_killed_and_forgets_them_when_it_is_wiped() -> anyhow::Result<()>
{
    let mut nats = Nats::start()?;
    let created = jetstream(&nats, "STREAM.CREATE.S", STREAM)?;
    ensure!(created["config"]["name"] == "S", "{created}");

    nats.kill()?;
    is_gone(nats.address())?;
    nats.restart()?;
    let found = jetstream(&nats, "STREAM.INFO.S", "")?;
    ensure!(found["config"]["name"] == "S", "{found}");

    nats.stop()?;
    nats.restart()?;
    nats.wipe()?;
    let found = jetstream(&nats, "STREAM.INFO.S", "")?;
    ensure!(found["error"]["code"] == 404, "{found}");

    let address = nats.address();
    drop(nats);
    is_gone(address)
}

#[test]
fn nats_that_is_paused_says_nothing_until_it_goes_on() -> anyhow::Result<()> {
    let mut nats = Nats::start()?;
    let mut stream = TcpStream::connect(nats.address())?;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)?;
    ensure!(hello == *b"INFO ", "{hello:?}");
    nats.pause()?;
    // The kernel takes the connection; the server says nothing on it.
    let mut silent = TcpStream::connect(nats.address())?;
    silent.set_read_timeout(Some(Duration::from_millis(300)))?;
    ensure!(silent.read(&mut hello).is_err(), "a paused server has spoken");
    nats.unpause()?;
    silent.set_read_timeout(Some(SOON))?;
    silent.read_exact(&mut hello)?;
    ensure!(hello == *b"INFO ", "{hello:?}");
    Ok(())
}

#[test]
fn nats_is_configured() -> anyhow::Result<()> {
    let config = NatsConfig::default()
        .jetstream("sync_interval: always")
        .also("authorization { token: secret }");
    let nats = Nats::with(config)?;
    let refused = nats_says(nats.address(), "CONNECT {}\r\nPING\r\n", "-ERR")?;
    ensure!(refused.last().is_some_and(|line| line.contains("Authorization")), "{refused:?}");
    nats_says(nats.address(), "CONNECT {\"auth_token\":\"secret\"}\r\nPING\r\n", "PONG")?;
    let jetstream = nats.monitor("/jsz")?.json()?;
    ensure!(jetstream["config"]["sync_always"] == true, "{jetstream}");

    let tls = Nats::with(NatsConfig::default().tls(&Authority::new("testbed")?, true)?)?;
    let hello = nats_says(tls.address(), "", "INFO")?.concat();
    ensure!(hello.contains("\"tls_required\":true"), "{hello}");

    let error = Nats::with(NatsConfig::default().also("no_such_thing: 1")).err();
    let error = error.context("a server with a mistake in its configuration has started")?;
    ensure!(error.to_string().contains("no_such_thing"), "{error}");
    Ok(())
}

#[test]
fn a_cluster_of_nats_elects_another_leader() -> anyhow::Result<()> {
    let mut cluster = NatsCluster::start()?;
    ensure!(cluster.url().split(',').count() == 3);
    let stream = r#"{"name":"S","subjects":["s"],"storage":"file","num_replicas":3}"#;
    let created = jetstream(&cluster.nodes[0], "STREAM.CREATE.S", stream)?;
    ensure!(created["config"]["num_replicas"] == 3, "{created}");
    let leader = cluster.leader("S")?;
    cluster.nodes[leader].kill()?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while cluster.leader("S")? == leader {
        ensure!(Instant::now() < deadline, "there is no other leader");
        std::thread::sleep(Duration::from_millis(20));
    }
    cluster.restart(leader)
}

#[test]
fn pubsub_takes_messages_of_its_own_client() -> anyhow::Result<()> {
    let mut pubsub = PubSub::start()?;
    pubsub.create_topic("builds")?;
    pubsub.create_subscription("tripline", "builds")?;
    let attributes = vec![("branch".to_owned(), "main".to_owned())];
    let messages = [
        Message { attributes, ..Message::new("{\"a\":1}") },
        Message { ordering_key: "k".into(), ..Message::new([0xff, 0x00]) },
    ];
    let ids = pubsub.publish("builds", &messages)?;
    ensure!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    ensure!(pubsub.publish("nowhere", &messages).is_err());

    pubsub.kill()?;
    is_gone(pubsub.address())?;
    pubsub.restart()?;
    // Topics are gone with the messages.
    ensure!(pubsub.publish("builds", &messages).is_err());
    pubsub.create_topic("builds")?;
    let again = pubsub.publish("builds", &messages)?;
    ensure!(again.iter().all(|id| !ids.contains(id)), "{again:?} after {ids:?}");
    let address = pubsub.address();
    drop(pubsub);
    is_gone(address)
}

#[test]
fn moto_takes_messages_of_its_own_client() -> anyhow::Result<()> {
    let mut moto = Moto::start()?;
    let send = "import boto3; c = boto3.client('sqs'); \
        u = c.create_queue(QueueName='builds')['QueueUrl']; \
        c.send_message(QueueUrl=u, MessageBody='{\"a\":1}'); \
        print(c.receive_message(QueueUrl=u)['Messages'][0]['Body'])";
    let output = moto.boto3().args(["-c", send]).output()?;
    ensure!(output.stdout == b"{\"a\":1}\n", "{output:?}");
    moto.kill()?;
    is_gone(moto.address())?;
    moto.restart()?;
    let list = "import boto3; print(boto3.client('sqs').list_queues().get('QueueUrls'))";
    let output = moto.boto3().args(["-c", list]).output()?;
    ensure!(output.stdout == b"None\n", "{output:?}");
    let address = moto.address();
    drop(moto);
    is_gone(address)
}

#[test]
fn elasticmq_answers_and_ends_with_its_handle() -> anyhow::Result<()> {
    let elasticmq = ElasticMq::start()?;
    let address = elasticmq.address();
    let mut stream = TcpStream::connect(address)?;
    let body = r#"{"QueueName":"builds"}"#;
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.CreateQueue\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.contains(&format!("{}/", elasticmq.endpoint())), "{answer}");
    drop(elasticmq);
    is_gone(address)
}

/// How many brokers a broker knows, and the port of the first, by its own protocol: `Metadata`.
fn kafka_says(address: SocketAddr) -> anyhow::Result<(u8, u16)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0])?;
    let mut answer = vec![0; 33];
    stream.read_exact(&mut answer)?;
    // Length, number, brokers: id, `127.0.0.1` with its length, and port.
    ensure!(&answer[18..27] == b"127.0.0.1", "{answer:?}");
    Ok((answer[11], u16::from_be_bytes([answer[29], answer[30]])))
}

#[test]
fn kafka_comes_back_with_its_data_and_sends_those_who_come_by_a_proxy_there_again()
-> anyhow::Result<()> {
    let toxiproxy = Toxiproxy::start()?;
    let (mut kafka, proxy) = Kafka::start_behind(&toxiproxy)?;
    let address = kafka.address();
    ensure!(kafka_says(address)? == (1, address.port()));
    ensure!(kafka_says(proxy.address())? == (1, proxy.address().port()));
    kafka.kill()?;
    is_gone(address)?;
    kafka.restart()?;
    ensure!(kafka_says(address)? == (1, address.port()));
    drop(kafka);
    is_gone(address)
}

#[test]
fn a_proxy_is_slow_or_silent_or_cut_as_it_is_told() -> anyhow::Result<()> {
    let nats = Nats::start()?;
    let toxiproxy = Toxiproxy::start()?;
    let proxy = toxiproxy.proxy(nats.address())?;
    let ask = |lines: &str| {
        let begin = Instant::now();
        nats_says(proxy.address(), lines, "PONG").map(|_| begin.elapsed())
    };
    let ping = "CONNECT {}\r\nPING\r\n";
    ensure!(ask(ping)? < Duration::from_secs(1));

    proxy.delay(Duration::from_millis(700))?;
    ensure!(ask(ping)? >= Duration::from_millis(700));

    proxy.swallow_answers()?;
    let mut silent = TcpStream::connect(proxy.address())?;
    silent.set_read_timeout(Some(Duration::from_millis(300)))?;
    ensure!(silent.read(&mut [0; 1]).is_err(), "an answer came through");

    proxy.cut()?;
    ensure!(TcpStream::connect(proxy.address()).is_err(), "a proxy that is cut takes connections");
    proxy.restore()?;
    ensure!(ask(ping)? < Duration::from_millis(700));
    Ok(())
}
