//! What a NATS server says: lines, some of which announce bytes. See
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

/// Something that a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A message of a subscription.
    Message(Message),
    /// It wants to hear `PONG`.
    Ping,
    /// An answer to `PING`.
    Pong,
    /// About itself, unasked.
    Info,
    /// It is not content.
    Refused(String),
}

/// A message of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where an answer goes, if one is wanted.
    pub(crate) reply: Option<Bytes>,
    /// `NATS/1.0` and what follows it; empty without.
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
}

/// What came is not the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a line that is no NATS: {0:?}")]
pub(crate) struct NotNats(String);

/// Takes the next thing that was said off the front of what has arrived; `None` until more has.
///
/// # Errors
///
/// [`NotNats`].
pub(crate) fn take(arrived: &mut BytesMut) -> Result<Option<Said>, NotNats> {
    let Some(length) = arrived.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let line = arrived.get(..length).unwrap_or_default();
    let (verb, rest) = match line.iter().position(|byte| *byte == b' ') {
        Some(space) => line.split_at(space),
        None => (line, &b""[..]),
    };
    let said = match verb {
        b"MSG" | b"HMSG" => {
            let Some(announced) = announced(verb, rest) else { return Err(no_nats(line)) };
            return Ok(message(arrived, length + 2, &announced));
        }
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"INFO" => Said::Info,
        b"-ERR" => Said::Refused(String::from_utf8_lossy(rest).trim().to_owned()),
        _ => return Err(no_nats(line)),
    };
    arrived.advance(length + 2);
    Ok(Some(said))
}

fn no_nats(line: &[u8]) -> NotNats {
    NotNats(String::from_utf8_lossy(line).into_owned())
}

/// What a line says of the bytes that follow it.
struct Announced {
    /// Where in the line the reply subject is.
    reply: Option<(usize, usize)>,
    headers: usize,
    total: usize,
}

/// Reads ` <subject> <sid> [reply] [headers] <total>` behind the verb.
fn announced(verb: &[u8], rest: &[u8]) -> Option<Announced> {
    let mut words = Vec::with_capacity(5);
    let mut at = 0;
    for word in rest.split(|byte| *byte == b' ') {
        if !word.is_empty() {
            words.push((verb.len() + at, word));
        }
        at += word.len() + 1;
    }
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<usize>().ok();
    let (_, total) = words.pop()?;
    let total = number(total)?;
    let headers = if verb == b"HMSG" { number(words.pop()?.1)? } else { 0 };
    let reply = match words.as_slice() {
        [_, _] => None,
        [_, _, (at, reply)] => Some((*at, reply.len())),
        _ => return None,
    };
    (headers <= total).then_some(Announced { reply, headers, total })
}

/// Takes a message off whose line has `line` bytes, if all of it is there.
fn message(arrived: &mut BytesMut, line: usize, announced: &Announced) -> Option<Said> {
    let Announced { reply, headers, total } = *announced;
    if arrived.len() < line + total + 2 {
        return None;
    }
    let line = arrived.split_to(line).freeze();
    let mut payload = arrived.split_to(total).freeze();
    arrived.advance(2);
    let headers = payload.split_to(headers);
    let reply = reply.map(|(at, length)| line.slice(at..at + length));
    Some(Said::Message(Message { reply, headers, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Said>, NotNats> {
        let mut arrived = BytesMut::from(bytes);
        let mut said = Vec::new();
        while let Some(next) = take(&mut arrived)? {
            said.push(next);
        }
        Ok(said)
    }

    fn message(reply: Option<&'static str>, headers: &'static str, payload: &'static str) -> Said {
        let reply = reply.map(Bytes::from);
        Said::Message(Message { reply, headers: headers.into(), payload: payload.into() })
    }

    #[test]
    fn messages_come_with_and_without_reply_and_headers() {
        let text = b"MSG s 1 5\r\nhello\r\nMSG s.t 12 in.box 0\r\n\r\n\
                     HMSG s 1 $JS.FC.x 12 14\r\nNATS/1.0\r\n\r\nok\r\nHMSG s 1 12 12\r\nNATS/1.0\r\n\r\n\r\n";
        let expected = vec![
            message(None, "", "hello"),
            message(Some("in.box"), "", ""),
            message(Some("$JS.FC.x"), "NATS/1.0\r\n\r\n", "ok"),
            message(None, "NATS/1.0\r\n\r\n", ""),
        ];
        assert_eq!(all(text), Ok(expected));
    }

    #[test]
    fn a_payload_may_hold_what_ends_lines() {
        assert_eq!(all(b"MSG s 1 4\r\n\r\n\r\n\r\n"), Ok(vec![message(None, "", "\r\n\r\n")]));
    }

    #[test]
    fn the_rest_of_the_protocol_is_understood() {
        let said = all(b"INFO {\"a\":1}\r\nPING\r\nPONG\r\n-ERR 'Slow Consumer'\r\n").unwrap();
        let refused = Said::Refused("'Slow Consumer'".to_owned());
        assert_eq!(said, [Said::Info, Said::Ping, Said::Pong, refused]);
    }

    #[test]
    fn a_message_is_taken_once_all_of_it_is_there() {
        let text = b"MSG s 1 5\r\nhello\r\n";
        for length in 0..text.len() {
            let mut arrived = BytesMut::from(&text[..length]);
            assert_eq!(take(&mut arrived), Ok(None), "{length}");
            arrived.extend_from_slice(&text[length..]);
            assert_eq!(take(&mut arrived), Ok(Some(message(None, "", "hello"))), "{length}");
            assert!(arrived.is_empty());
        }
    }

    #[test]
    fn anything_else_is_no_nats() {
        for text in
            ["HTTP/1.1 400 Bad Request\r\n", "MSG s\r\n", "MSG s 1 x\r\n", "HMSG s 1 9 3\r\n"]
        {
            assert!(all(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
