//! The gRPC server: which services there are and what each is made of.

use std::sync::Arc;

use cluster::config::TopicConfigs;
use daemon::clock::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use wire::bounds::{Bounds, Entrance, Purses};
use wire::framed::path;
use wire::v1::broker::admin_service_server::AdminServiceServer;
use wire::v1::broker::log_service_server::LogServiceServer;

use crate::config::Config;
use crate::coordinator::Coordinators;
use crate::deletion::Deletion;
use crate::directory::WeakDirectoryQueue;
use crate::disk_space::DiskState;
use crate::fetching::Fetching;
use crate::health::Health;
use crate::lease::LeaseView;
use crate::listing::Listing;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::producing::Producing;
use crate::rpc::{
    Admin, Cluster, Data, DataServer, FetchLimits, FetchStreams, Forwarder, Logs, ProduceStreams,
};
use crate::scrubbing::Scrubs;
use crate::topics::{AutoCreate, TopicDefaults, Topics};

/// Everything that answers requests.
#[derive(Debug)]
pub(crate) struct Server {
    data: Data,
    admin: Admin,
    logs: Logs,
    health: Health,
    bounds: Bounds,
    purses: Purses,
    drain: Drain,
}

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) partitions: Partitions,
    pub(crate) coordinators: Arc<Coordinators>,
    pub(crate) directory: WeakDirectoryQueue,
    pub(crate) lease: LeaseView,
    pub(crate) disk: watch::Receiver<DiskState>,
    /// Cancelled when the data directory is fenced.
    pub(crate) fenced: CancellationToken,
    pub(crate) clock: Clock,
    /// What this broker was told for topics that do not say otherwise.
    pub(crate) topic_defaults: TopicConfigs,
    pub(crate) scrubs: Scrubs,
}

/// How requests come to an end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Cancelled when no new requests are wanted: streams and long polls end.
    pub(crate) draining: CancellationToken,
    /// What still runs then.
    pub(crate) tasks: TaskTracker,
}

impl Server {
    pub(crate) fn new(config: &Config, resources: Resources, drain: Drain) -> Self {
        let Resources { partitions, coordinators, directory, lease, clock, .. } = resources;
        let Resources { topic_defaults, scrubs, disk, fenced, .. } = resources;
        let Drain { draining, tasks } = drain;
        let defaults = TopicDefaults {
            partitions: config.num_partitions,
            replication_factor: config.default_replication_factor,
            auto_create: if config.auto_create_topics_enable {
                AutoCreate::Enabled
            } else {
                AutoCreate::Disabled
            },
        };
        let limits = &config.limits;
        let bounds = limits.bounds();
        let purses = Purses::new(bounds.answer_bytes);
        let fetch_limits =
            FetchLimits { bytes: limits.fetch_bytes as usize, partitions: limits.fetch_partitions };
        let topics = Topics::new(partitions.clone(), Arc::clone(&coordinators), defaults);
        let producing = Producing::new(partitions.clone(), limits.produce_bytes, clock);
        let fetching = Fetching::new(partitions.clone(), scrubs.clone(), clock, draining.clone());
        let listing = Listing::new(partitions.clone());
        let data = Data {
            produce_streams: ProduceStreams {
                producing: producing.clone(),
                listing: listing.clone(),
                max_in_flight: limits.stream_bytes as usize,
                draining: draining.clone(),
            },
            fetch_streams: FetchStreams {
                fetching: fetching.clone(),
                limits: fetch_limits,
                draining: draining.clone(),
            },
            producing,
            fetching,
            listing,
            producer_ids: ProducerIds::new(Arc::clone(&coordinators)),
            deletion: Deletion::new(partitions.clone(), directory),
            topics: topics.clone(),
            cluster: Cluster::new(partitions.clone(), coordinators),
            forwarder: Forwarder::new(partitions.clone()),
            fetch_limits,
            purses: purses.clone(),
        };
        let admin = Admin {
            topics,
            partitions: partitions.clone(),
            topic_defaults,
            purses: purses.clone(),
        };
        let logs = Logs {
            partitions,
            scrubs,
            purses: purses.clone(),
            tasks: tasks.clone(),
            draining: draining.clone(),
        };
        let health = Health { lease, disk, fenced, draining: draining.clone() };
        Self { data, admin, logs, health, bounds, purses, drain: Drain { draining, tasks } }
    }

    /// Serves at all `entrances` until it is told to drain and every connection is done.
    pub(crate) async fn run(self, entrances: Vec<Entrance>) -> Result<(), tonic::transport::Error> {
        let Drain { draining, tasks } = self.drain;
        let (reporter, health_service) = tonic_health::server::health_reporter();
        tasks.spawn(self.health.report(reporter));
        let routes = Routes::new(DataServer::new(self.data))
            .add_service(AdminServiceServer::new(self.admin))
            .add_service(LogServiceServer::new(self.logs))
            .add_service(health_service)
            .add_service(wire::transport::reflection())
            .add_service(wire::transport::reflection_v1alpha());
        let Self { bounds, purses, .. } = self;
        wire::bounds::serve(routes, entrances, bounds, &purses, carries_batches, draining).await
    }
}

/// Whether requests for `path` carry record batches.
fn carries_batches(path: &str) -> bool {
    matches!(path, path::PRODUCE | path::PRODUCE_STREAM)
}
