//! Finding a host, for calls that need a connection of their own kind.

use std::error::Error;

use tokio::net::TcpListener;
use wire::framed::{ConnectError, Connection};

#[tokio::test]
async fn a_host_is_found_by_its_name_and_by_its_address() {
    // The name may stand for addresses at which nobody listens, too.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let _connection = Connection::open(&format!("{host}:{port}")).await.unwrap();
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_address_is_said_to_be_none() {
    for given in ["", "a b:1", "http://host:1", "[::1:1"] {
        let refused = Connection::open(given).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Address { .. }), "{given}: {refused}");
    }
}

#[tokio::test]
async fn where_nobody_listens_it_is_said_why_nothing_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = Connection::open(&format!("127.0.0.1:{port}")).await.unwrap_err();
    let mut cause: &dyn Error = &refused;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    assert!(cause.to_string().starts_with("Connection refused"), "{cause}");
}
