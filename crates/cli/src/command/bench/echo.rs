//! A plain client of a plain server that sends back what it got: as quick as an answer over TCP can
//! be on this machine.

use measure::{Latencies, Server, open_loop};
use types::Durability;

use super::consume::Arriving;
use super::contest::{Contender, Pace};
use super::load::Work;
use super::plain::{PlainServer, Purpose, connect};
use super::produce::Writing;
use super::stage::{CLIENT_THREADS, Stage};
use super::topic::unexpected;
use crate::exit::Failure;

/// The client and its server.
pub(super) struct Echoing<'a> {
    work: Work,
    stage: &'a Stage,
    durability: Durability,
    server: Option<PlainServer>,
}

impl<'a> Echoing<'a> {
    pub(super) const fn new(work: Work, stage: &'a Stage, durability: Durability) -> Self {
        Self { work, stage, durability, server: None }
    }
}

impl Contender for Echoing<'_> {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        self.server = Some(self.stage.plain_server(self.durability).await?);
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        self.server = None;
        Ok(())
    }
}

impl Pace for Echoing<'_> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        let server = self.server.as_ref();
        let address = server.ok_or_else(|| unexpected("no server was started"))?.address();
        let work = self.work.clone();
        let pacing = async move {
            let (read, write) = connect(address, Purpose::Echo).await?.into_split();
            let schedule = work.schedule();
            let due = schedule.begin(work.clock())?;
            let sides = (Writing::new(write, &work), Arriving::new(read, &work));
            open_loop(schedule, due, || work.clock().monotonic(), sides).await
        };
        self.stage.on_client(pacing).await
    }
}
