//! Bad input and broken surroundings, on real processes: each is answered by an error that says
//! what happened, to what, and what to do next, and the servers go on.

#[cfg(test)]
mod failed_sync;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod registry_down;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rotten_journal;
#[cfg(test)]
mod second_process;
#[cfg(test)]
mod tool;
