use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures::future::select_all;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::home::Home;
use super::sample::{SUBJECT, TOPIC};
use crate::args::lab::Ports;
use crate::exit::{Exit, Failure, with_causes};

/// The services of a lab, on loopback.
pub(super) struct Services {
    /// In the order in which they start; they stop in the opposite one.
    running: Vec<Running>,
    /// As `host:port`.
    pub(super) broker: SocketAddr,
    pub(super) registry: SocketAddr,
}

struct Running {
    service: &'static str,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Services {
    /// Builds and starts each service with its stores below `home`.
    ///
    /// # Errors
    ///
    /// A port is taken, or a store cannot be opened. What had started is stopped.
    pub(super) async fn start(home: &Home, ports: Ports) -> Result<Self, Failure> {
        let mut running = Vec::new();
        match start_all(home, ports, &mut running).await {
            Ok((broker, registry)) => Ok(Self { running, broker, registry }),
            Err(failure) => {
                stop(running).await.ok();
                Err(failure)
            }
        }
    }

    /// Which service listens where.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.running.iter().map(|running| (running.service, running.address))
    }

    /// What one may try with them, in another terminal.
    pub(super) fn commands(&self) -> Vec<String> {
        let Self { broker, registry, .. } = self;
        let mut brokers = String::new();
        let mut registries = String::new();
        if *broker != loopback(Ports::USUAL.broker) {
            brokers = format!(" -B {broker}");
        }
        if *registry != loopback(Ports::USUAL.registry) {
            registries = format!(" --registry http://{registry}");
        }
        vec![
            format!("dohle topic describe {TOPIC}{brokers}"),
            format!("dohle consume {TOPIC} --from-beginning -n 3{brokers}{registries}"),
            format!("curl http://{registry}/subjects/{SUBJECT}/versions/1"),
        ]
    }

    /// Waits until a service ends by itself, which none should.
    pub(super) async fn ended(&mut self) -> Failure {
        let tasks = self.running.iter_mut().map(|running| &mut running.task);
        let (ended, index, _) = select_all(tasks).await;
        let service = self.running.get(index).map_or("a service", |running| running.service);
        // It cannot be awaited again.
        if index < self.running.len() {
            self.running.remove(index);
        }
        let message = match outcome(ended) {
            Ok(()) => format!("{service} stopped by itself"),
            Err(error) => format!("{service} stopped: {error}"),
        };
        Failure::new(Exit::Other, message)
    }

    /// Stops registry, broker and coordinator, one after the other, each after what it has begun.
    ///
    /// # Errors
    ///
    /// One of them did not end well.
    pub(super) async fn drain(self) -> Result<(), Failure> {
        stop(self.running).await
    }
}

async fn start_all(
    home: &Home,
    ports: Ports,
    running: &mut Vec<Running>,
) -> Result<(SocketAddr, SocketAddr), Failure> {
    let coordinator = coordinator::Config {
        listen: loopback(ports.coordinator),
        data_dir: home.coordinator(),
        ..coordinator::Config::default()
    };
    let coordinator = coordinator.build().map_err(|error| {
        if let coordinator::BuildError::Listen { address, source } = &error {
            return taken(*address, source);
        }
        refused("the coordinator", &error)
    })?;
    let coordinators = vec![coordinator.address().to_string()];
    running.push(spawn("coordinator", coordinator.address(), |stop| coordinator.run(stop)));

    let broker = broker::Config {
        listen: loopback(ports.broker),
        data_dir: home.broker(),
        coordinators,
        ..broker::Config::default()
    };
    let broker = broker.build().await.map_err(|error| {
        if let broker::BuildError::Bind { listen, source } = &error {
            return taken(*listen, source);
        }
        refused("the broker", &error)
    })?;
    let broker_address = broker.address();
    running.push(spawn("broker", broker_address, |stop| broker.run(stop)));

    let registry = registry::Config {
        listen: loopback(ports.registry),
        data_dir: home.registry(),
        ..registry::Config::default()
    };
    let registry = registry.build().map_err(|error| {
        if let registry::BuildError::Listen { listen, source } = &error {
            return taken(*listen, source);
        }
        refused("the registry", &error)
    })?;
    let registry_address = registry.address();
    running.push(spawn("registry", registry_address, |stop| registry.run(stop)));
    Ok((broker_address, registry_address))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn spawn<E, F>(
    service: &'static str,
    address: SocketAddr,
    run: impl FnOnce(CancellationToken) -> F,
) -> Running
where
    E: Error,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let serving = run(stop.clone());
    let task = tokio::spawn(async move { serving.await.map_err(|error| with_causes(&error)) });
    Running { service, address, stop, task }
}

async fn stop(running: Vec<Running>) -> Result<(), Failure> {
    let mut first = Ok(());
    for Running { service, stop, task, .. } in running.into_iter().rev() {
        stop.cancel();
        let ended = outcome(task.await).map_err(|error| {
            Failure::new(Exit::Other, format!("{service} did not stop well: {error}"))
        });
        first = first.and(ended);
    }
    first
}

fn outcome(ended: Result<Result<(), String>, JoinError>) -> Result<(), String> {
    ended.unwrap_or_else(|died| Err(died.to_string()))
}

fn taken(address: SocketAddr, error: &io::Error) -> Failure {
    let port = address.port();
    let message = format!(
        "port {port} cannot be had: {error}; stop what listens there, or choose others with --ports"
    );
    Failure::new(Exit::Conflict, message).next("lab --ports 0")
}

fn refused(service: &str, error: &dyn Error) -> Failure {
    Failure::new(Exit::Other, format!("{service} cannot start: {}", with_causes(error)))
}
