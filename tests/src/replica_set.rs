//! Replica sets of MongoDB: how one is made, and one of a test's own, whose members are killed.

use crate::database_server::DatabaseServer;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use std::time::{Duration, Instant};

/// How long a set may be without a primary.
const ELECTION_MAX: Duration = Duration::from_secs(60);
/// How long a primary that made place for another is not elected again.
pub const STEP_DOWN: Duration = Duration::from_secs(3);
/// How long a member may take to answer while it looks for others.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Makes the replica set of a URL, and the user that it names, where they are not there yet. Answers whether it has a
/// primary.
pub async fn make(url: &str) -> bool {
    let options = ClientOptions::parse(url).await.expect("the URL of a replica set");
    let member = |(number, host): (i32, &ServerAddress)| doc! {"_id": number, "host": host.to_string()};
    let members: Vec<_> = (0..).zip(&options.hosts).map(member).collect();
    // An election does not take longer in a test than it has to.
    let settings = doc! {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 250};
    let set = doc! {"_id": &options.repl_set_name, "members": members, "settings": settings};
    // One member makes the set of all, and once the set is made it makes no other.
    let _ = ask(&options, &options.hosts[0], None, doc! {"replSetInitiate": set}).await;
    for host in &options.hosts {
        if state(&options, host).await == Some("isWritablePrimary") {
            // Who has no user yet may make the first one, from the same machine; later this is refused.
            let user = options.credential.as_ref().expect("the URL names a user");
            let user = doc! {"createUser": &user.username, "pwd": &user.password, "roles": ["root"]};
            let _ = ask(&options, host, None, user).await;
            return true;
        }
    }
    false
}

/// Makes the set of a URL as [`make`] does. Answers whether the member at a port can be used.
pub(crate) async fn is_ready(url: &str, port: u16) -> bool {
    let options = ClientOptions::parse(url).await.expect("the URL of a replica set");
    make(url).await && state(&options, &address(port)).await.is_some()
}

/// What a member says that it is: the primary, or a secondary.
async fn state(options: &ClientOptions, host: &ServerAddress) -> Option<&'static str> {
    let hello = ask(options, host, None, doc! {"hello": 1}).await.ok()?;
    ["isWritablePrimary", "secondary"].into_iter().find(|state| hello.get_bool(state).unwrap_or(false))
}

fn address(port: u16) -> ServerAddress {
    ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) }
}

/// Sends a command to one member, whatever it is; without a user as anybody on the same machine.
async fn ask(
    set: &ClientOptions,
    host: &ServerAddress,
    user: Option<Credential>,
    command: Document,
) -> Result<Document, mongodb::error::Error> {
    let mut options = set.clone();
    options.hosts = vec![host.clone()];
    options.direct_connection = Some(true);
    options.repl_set_name = None;
    options.credential = user;
    options.server_selection_timeout = Some(ANSWER_MAX);
    let client = Client::with_options(options)?;
    let answer = client.database("admin").run_command(command).await;
    client.shutdown().await;
    answer
}

/// Members on one machine, which elect a primary among them.
#[derive(Debug)]
pub struct ReplicaSet {
    members: Vec<DatabaseServer>,
    url: String,
}

impl ReplicaSet {
    /// Makes and starts an empty set, with a primary.
    pub fn start(count: usize) -> Self {
        let members = DatabaseServer::start_members(count);
        let url = members[0].url();
        Self { members, url }
    }

    /// The URL of a database on it, with the addresses of all members.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the same database at one member alone, whatever it is.
    pub fn url_of(&self, member: usize) -> String {
        let (user, place) = self.url.rsplit_once('@').expect("it names a user");
        let (_, database) = place.split_once('/').expect("it names a database");
        let url = format!("{user}@127.0.0.1:{}/{database}", self.members[member].port());
        url.replace("replicaSet=rs0", "directConnection=true")
    }

    /// Which member is the primary, waiting for one.
    pub async fn primary(&self) -> usize {
        let begin = Instant::now();
        loop {
            for member in 0..self.members.len() {
                let hello = self.ask(member, doc! {"hello": 1}).await;
                if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                    return member;
                }
            }
            assert!(begin.elapsed() < ELECTION_MAX, "the members elect no primary");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends a member as a power cut would.
    pub fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// The same, after a time in which no other member took over what it wrote.
    pub async fn kill_alone(&mut self, member: usize, alone: Duration) {
        self.stop_replication(member, "alwaysOn").await;
        tokio::time::sleep(alone).await;
        self.kill(member);
        self.stop_replication(member, "off").await;
    }

    async fn stop_replication(&self, from: usize, mode: &str) {
        for member in (0..self.members.len()).filter(|member| *member != from) {
            let stop = doc! {"configureFailPoint": "stopReplProducer", "mode": mode};
            self.ask(member, stop).await.expect("the tests' servers take commands of tests");
        }
    }

    /// Ends a member as it is ended before maintenance.
    pub fn stop(&mut self, member: usize) {
        self.members[member].stop();
    }

    /// Has a member stand still.
    pub fn pause(&self, member: usize) {
        self.members[member].pause();
    }

    /// Has it go on.
    pub fn resume(&self, member: usize) {
        self.members[member].resume();
    }

    /// Whether any member took back what it had written, which it keeps beside its data then.
    pub fn has_rolled_back(&self) -> bool {
        self.members.iter().any(|member| member.has("rollback"))
    }

    /// Starts a member again, and waits until it is one.
    pub fn restart(&mut self, member: usize) {
        self.members[member].restart();
    }

    /// Asks the primary to make place for another, as before maintenance.
    pub async fn step_down(&self, member: usize) {
        let begin = Instant::now();
        // It refuses while no other has caught up with it.
        let seconds = i64::try_from(STEP_DOWN.as_secs()).expect("in range");
        let command = doc! {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": seconds - 1};
        while let Err(error) = self.ask(member, command.clone()).await {
            assert!(begin.elapsed() < ELECTION_MAX, "the primary does not step down: {error}");
        }
    }

    /// Sends a command to one member, whatever it is.
    async fn ask(&self, member: usize, command: Document) -> Result<Document, mongodb::error::Error> {
        let options = ClientOptions::parse(&self.url).await?;
        ask(&options, &address(self.members[member].port()), options.credential.clone(), command).await
    }
}
