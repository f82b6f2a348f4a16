//! `dohle lab`: a whole cluster in this process, and a demo of its main job.

mod demo;
mod event;
mod home;
mod sample;
mod services;

use self::demo::Demo;
use self::event::Event;
use self::home::Home;
use self::services::Services;
use crate::args::lab::Lab;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Style};
use crate::session::Session;

/// Starts every service, shows the main job once, and stays until Ctrl-C.
///
/// # Errors
///
/// The directory is in use, a port is taken, a service ends early, or the demo fails.
pub(crate) async fn run(lab: Lab, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let home = Home::open(&lab.dir)?;
    let mut services = Services::start(&home, lab.ports).await?;
    let result = show(&mut services, &home, &lab, session, output).await;
    let drained = services.drain().await;
    let drained = drained.and_then(|()| tell(&Event::Stopped, output));
    // The lock goes last: until here the directory is in use.
    drop(home);
    result.and(drained)
}

async fn show(
    services: &mut Services,
    home: &Home,
    lab: &Lab,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    for (service, address) in services.addresses() {
        tell(&Event::Listening { service, address }, output)?;
    }
    let demo = Demo::new(services, home, session);
    tokio::select! {
        shown = demo.run(output) => shown?,
        ended = services.ended() => return Err(ended),
        () = session.interrupted.cancelled() => return Err(Failure::Told(Exit::Interrupted)),
    }
    if lab.exit {
        return Ok(());
    }
    let directory = home.root().display().to_string();
    tell(&Event::Ready { directory, commands: services.commands() }, output)?;
    tokio::select! {
        // Ctrl-C is how a lab ends.
        () = session.interrupted.cancelled() => Ok(()),
        ended = services.ended() => Err(ended),
    }
}

fn tell(event: &Event, output: &mut Output) -> Result<(), Failure> {
    match output.style() {
        Style::Json => Ok(output.json(event)?),
        Style::Table => Ok(output.line(&event.to_string())?),
    }
}
