//! HTTP/2 by hand, for clients that no library would be: they stop in the middle of a frame, and
//! never read.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// The largest frame that any server takes.
pub(crate) const FRAME: usize = 16 * 1024;

/// How much a client says that it will take.
#[derive(Clone, Copy)]
pub(crate) enum Windows {
    /// 64 KiB, as HTTP/2 has it if nothing is said.
    Least,
    /// All there is, so that it is the socket that fills up.
    Largest,
}

/// One connection. It reads only when told to.
pub(crate) struct RawConnection {
    socket: TcpStream,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(kind, flags, stream, payload.len());
    bytes.extend(payload);
    bytes
}

fn head(kind: u8, flags: u8, stream: u32, len: usize) -> Vec<u8> {
    let len = u32::try_from(len).unwrap().to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes
}

/// A header of HPACK that no table knows.
fn header(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|len| *len < 127).unwrap();
    let mut bytes = vec![0, length(name)];
    bytes.extend(name.as_bytes());
    bytes.push(length(value));
    bytes.extend(value.as_bytes());
    bytes
}

/// A gRPC message that says it is `len` bytes long and begins like this.
pub(crate) fn message(len: usize, begin: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(len).unwrap().to_be_bytes());
    bytes.extend(begin);
    bytes
}

impl RawConnection {
    /// Connects and says nothing.
    pub(crate) async fn silent(to: SocketAddr) -> Self {
        let socket = TcpStream::connect(to).await.expect("the broker listens");
        Self { socket }
    }

    /// Connects and says what every client says first.
    pub(crate) async fn open(to: SocketAddr, windows: Windows) -> Self {
        let mut connection = Self::silent(to).await;
        let mut greeting = PREFACE.to_vec();
        match windows {
            Windows::Least => greeting.extend(frame(SETTINGS, 0, 0, &[])),
            Windows::Largest => {
                let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
                setting.extend(LARGEST_WINDOW.to_be_bytes());
                greeting.extend(frame(SETTINGS, 0, 0, &setting));
                let more = LARGEST_WINDOW - 65_535;
                greeting.extend(frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()));
            }
        }
        connection.say(&greeting).await;
        connection
    }

    /// Sends bytes, if the broker still takes any.
    async fn say(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.ok();
    }

    /// Begins a call.
    pub(crate) async fn call(&mut self, stream: u32, path: &str) {
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "broker"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let block: Vec<u8> = headers.iter().flat_map(|(name, value)| header(name, value)).collect();
        self.say(&frame(HEADERS, END_HEADERS, stream, &block)).await;
    }

    /// Sends a part of a request, frame by frame.
    pub(crate) async fn data(&mut self, stream: u32, bytes: &[u8]) {
        for part in bytes.chunks(FRAME) {
            self.say(&frame(DATA, 0, stream, part)).await;
        }
    }

    /// Sends the last part of a request.
    pub(crate) async fn last_data(&mut self, stream: u32, bytes: &[u8]) {
        self.say(&frame(DATA, END_STREAM, stream, bytes)).await;
    }

    /// Sends the beginning of a frame, and never its end.
    pub(crate) async fn half_frame(&mut self, stream: u32, begin: &[u8]) {
        assert!(begin.len() < FRAME);
        self.say(&head(DATA, 0, stream, FRAME)).await;
        self.say(begin).await;
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn ended(mut self) {
        let mut read = [0; 4096];
        while self.socket.read(&mut read).await.is_ok_and(|read| 0 < read) {}
    }
}
