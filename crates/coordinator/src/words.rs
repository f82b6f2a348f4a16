//! `ZooKeeper`'s four-letter words, for whoever asks over plain TCP whether it is up.
//!
//! | word | answer |
//! |---|---|
//! | `ruok` | `imok`, while the process works through requests |
//! | `srvr` | version, last revision, mode, number of nodes |
//! | `stat` | the same, and who is connected here |
//! | `mntr` | the same and more, a name and a value a line |
//!
//! What a coordinator does not measure is left out.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::driver::Mailbox;
use crate::request::{Quorum, Request};
use crate::tree_feed::TreeFeed;

/// Connections at once; those beyond are closed without an answer.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may take to ask, and to take its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A port that is taken and not served yet.
#[derive(Debug)]
pub(crate) struct WordsDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl WordsDoor {
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    pub(crate) async fn serve(
        self,
        mailbox: Mailbox,
        tree: Arc<TreeFeed>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let words = Arc::new(Words { mailbox, tree, clients: Mutex::default() });
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return Ok(()),
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Of the one who connected, or too many files are open: it passes.
                    debug!(%error, "a connection for a four-letter word failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
            let words = Arc::clone(&words);
            tasks.spawn(async move {
                // Whoever is too slow gets no answer.
                let answered = timeout(TIMEOUT, words.answer(stream, from)).await;
                words.clients().retain(|client| *client != from);
                debug!(%from, ?answered, "four-letter word");
                drop(permit);
            });
        }
    }
}

struct Words {
    mailbox: Mailbox,
    tree: Arc<TreeFeed>,
    clients: Mutex<Vec<SocketAddr>>,
}

impl Words {
    fn clients(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        // Nothing that can panic runs under it.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        self.clients().push(from);
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        let Ok(quorum) = self.mailbox.ask(|reply| Request::Describe { reply }).await else {
            return Ok(());
        };
        let text = self.text(word, &quorum);
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    }

    fn text(&self, word: [u8; 4], quorum: &Quorum) -> String {
        let Some(mode) = mode(quorum) else {
            let not_serving = "This ZooKeeper instance is not currently serving requests\n";
            return if word == *b"ruok" { "imok".to_owned() } else { not_serving.to_owned() };
        };
        let clients = self.clients().clone();
        let (revision, tree) = self.tree.view();
        let (nodes, bytes, sessions) = (tree.node_count(), tree.bytes(), tree.session_count());
        let ephemerals: usize = tree.sessions().map(|(_, session)| session.ephemeral_count()).sum();
        let version = env!("CARGO_PKG_VERSION");
        let connections = clients.len();
        match &word {
            b"ruok" => "imok".to_owned(),
            b"srvr" | b"stat" => {
                let mut text = format!("Zookeeper version: dohle-{version}\n");
                if word == *b"stat" {
                    text.push_str("Clients:\n");
                    for client in clients {
                        writeln!(text, " /{client}[0](queued=0,recved=1,sent=0)").ok();
                    }
                    text.push('\n');
                }
                write!(
                    text,
                    "Connections: {connections}\nZxid: {:#x}\nMode: {mode}\nNode count: {nodes}\n",
                    revision.get()
                )
                .ok();
                text
            }
            b"mntr" => format!(
                "zk_version\tdohle-{version}\nzk_server_state\t{mode}\nzk_znode_count\t{nodes}\n\
                 zk_ephemerals_count\t{ephemerals}\nzk_approximate_data_size\t{bytes}\n\
                 zk_num_alive_connections\t{connections}\nzk_global_sessions\t{sessions}\n"
            ),
            _ => "not one of ruok, srvr, stat, mntr\n".to_owned(),
        }
    }
}

/// What `ZooKeeper` calls it; none while nobody leads.
fn mode(quorum: &Quorum) -> Option<&'static str> {
    let leader = quorum.leader?;
    Some(match (leader == quorum.raft_id, quorum.voters.len()) {
        (true, 1) => "standalone",
        (true, _) => "leader",
        (false, _) if quorum.voters.contains(&quorum.raft_id) => "follower",
        (false, _) => "observer",
    })
}
