//! The plainest server that does what a broker's data path must do: it takes length-prefixed
//! batches off a socket, checks their CRC32C, appends them to one file, syncs it if it should,
//! and acknowledges; and it reads that file into other sockets as it grows. No protobuf, no
//! HTTP/2, no partitions, no index, no replicas, no flow control but TCP's. For latencies it also
//! sends back what it got, at once or when that is on the disk.

use std::fs::{File, remove_file};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use types::Durability;

use crate::exit::Failure;

/// What is read off a socket at once, where messages are smaller.
const READ_BYTES: usize = 64 * 1024;
/// What is read off the file at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// The first byte of a connection: what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Frames in, counts of frames out.
    Produce,
    /// A position in, the file out from there on and as it grows.
    Consume,
    /// Frames in, what is in them out. Nothing is checked, and only what must be on the disk first
    /// is written.
    Echo,
}

impl Purpose {
    const fn byte(self) -> u8 {
        match self {
            Self::Produce => b'P',
            Self::Consume => b'C',
            Self::Echo => b'E',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'P' => Some(Self::Produce),
            b'C' => Some(Self::Consume),
            b'E' => Some(Self::Echo),
            _ => None,
        }
    }
}

/// A running plain server. Its connections end, and its file goes, when it is dropped.
pub(super) struct PlainServer {
    address: SocketAddr,
    path: PathBuf,
    _accepting: AbortOnDropHandle<()>,
}

impl PlainServer {
    /// Starts on a free port with an empty file.
    ///
    /// # Errors
    ///
    /// There is no port, or the file cannot be made.
    pub(super) async fn start(path: PathBuf, durability: Durability) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        let served = Served { file: Arc::new(file), durability, end: watch::Sender::new(0) };
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, served)));
        Ok(Self { address, path, _accepting: accepting })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        // The folder around it goes at the end in any case.
        remove_file(&self.path).ok();
    }
}

/// Opens a connection.
pub(super) async fn connect(address: SocketAddr, purpose: Purpose) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_u8(purpose.byte()).await?;
    Ok(stream)
}

/// Opens a connection that reads the file from a position on.
pub(super) async fn consume_from(address: SocketAddr, at: u64) -> io::Result<TcpStream> {
    let mut stream = connect(address, Purpose::Consume).await?;
    stream.write_u64(at).await?;
    Ok(stream)
}

/// A batch behind its length, to be written at once.
pub(super) fn frame(batch: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(4 + batch.len());
    frame.put_u32(u32::try_from(batch.len()).unwrap_or(u32::MAX));
    frame.put_slice(batch);
    frame.freeze()
}

#[derive(Clone)]
struct Served {
    file: Arc<File>,
    durability: Durability,
    /// What may be read.
    end: watch::Sender<u64>,
}

async fn accept(listener: TcpListener, served: Served) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that fails shows at its other end.
        connections.spawn(serve(stream, served.clone()));
    }
}

async fn serve(mut stream: TcpStream, served: Served) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match Purpose::of(stream.read_u8().await?) {
        Some(Purpose::Produce) => produce(stream, served).await,
        Some(Purpose::Consume) => consume(stream, served).await,
        Some(Purpose::Echo) => echo(stream, served).await,
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn produce(stream: TcpStream, served: Served) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(READ_BYTES, read);
    let mut batch = Vec::new();
    let mut end = *served.end.borrow();
    let mut frames: u64 = 0;
    loop {
        let length = read.read_u32().await?;
        batch.resize(length as usize, 0);
        read.read_exact(&mut batch).await?;
        if !is_sound(&batch) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        served.file.write_all_at(&batch, end)?;
        end += u64::from(length);
        frames += 1;
        // What has arrived meanwhile shares the sync and the answer.
        if read.buffer().is_empty() {
            if served.durability == Durability::Fsync {
                served.file.sync_data()?;
            }
            served.end.send_replace(end);
            write.write_u64(frames).await?;
        }
    }
}

/// Whether the checksum in a batch's header is that of what follows it.
fn is_sound(batch: &[u8]) -> bool {
    const CRC_AT: usize = 17;
    let stored = batch.get(CRC_AT..).and_then(<[u8]>::split_first_chunk);
    stored.is_some_and(|(crc, checked)| {
        let found = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, checked);
        found == u64::from(u32::from_be_bytes(*crc))
    })
}

async fn echo(stream: TcpStream, served: Served) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(READ_BYTES, read);
    let (mut frame, mut frames, mut end) = (Vec::new(), Vec::new(), *served.end.borrow());
    loop {
        let length = read.read_u32().await?;
        frame.resize(length as usize, 0);
        read.read_exact(&mut frame).await?;
        frames.extend_from_slice(&frame);
        // What has arrived meanwhile shares the sync and the answer.
        if read.buffer().is_empty() {
            if served.durability == Durability::Fsync {
                served.file.write_all_at(&frames, end)?;
                end += frames.len() as u64;
                served.file.sync_data()?;
            }
            write.write_all(&frames).await?;
            frames.clear();
        }
    }
}

async fn consume(mut stream: TcpStream, served: Served) -> io::Result<()> {
    let mut end = served.end.subscribe();
    let mut at = stream.read_u64().await?;
    let mut chunk = Vec::new();
    loop {
        let Ok(there) = end.wait_for(|end| at < *end).await.map(|end| *end) else { return Ok(()) };
        let length = (there - at).min(CHUNK_BYTES);
        chunk.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        served.file.read_exact_at(&mut chunk, at)?;
        stream.write_all(&chunk).await?;
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use record::{BatchBuilder, Compression};
    use types::Timestamp;

    use super::*;

    fn batch() -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp::from_millis(1), None, Some(b"value"), &[]).unwrap();
        builder.build().unwrap().bytes().clone()
    }

    #[test]
    fn a_plain_server_checks_what_a_broker_checks() {
        let sound = batch();
        assert!(is_sound(&sound));
        for bad in [&b""[..], b"short", &sound[..sound.len() - 1]] {
            assert!(!is_sound(bad));
        }
    }

    #[tokio::test]
    async fn what_was_acknowledged_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let server =
            PlainServer::start(folder.path().join("plain"), Durability::Fsync).await.unwrap();
        let batch = batch();
        let mut producer = connect(server.address(), Purpose::Produce).await.unwrap();
        let mut acknowledged = 0;
        for _ in 0..3 {
            producer.write_all(&frame(&batch)).await.unwrap();
        }
        while acknowledged < 3 {
            acknowledged = producer.read_u64().await.unwrap();
        }
        let mut consumer = consume_from(server.address(), batch.len() as u64).await.unwrap();
        let mut read = vec![0; 2 * batch.len()];
        consumer.read_exact(&mut read).await.unwrap();
        assert_eq!(read, batch.repeat(2));
    }

    #[tokio::test]
    async fn an_echo_is_what_was_sent_and_on_the_disk_before_where_it_must_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain");
        let (sent, mut read) = (batch(), vec![0; 2 * batch().len()]);
        for (durability, stored) in [(Durability::PageCache, 0), (Durability::Fsync, read.len())] {
            let server = PlainServer::start(path.clone(), durability).await.unwrap();
            let mut client = connect(server.address(), Purpose::Echo).await.unwrap();
            for _ in 0..2 {
                client.write_all(&frame(&sent)).await.unwrap();
            }
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(read, sent.repeat(2));
            assert_eq!(std::fs::read(&path).unwrap().len(), stored);
        }
    }
}
