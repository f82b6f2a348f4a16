use cluster::ListenerName;
use tonic::Extensions;
use tonic::transport::server::TcpIncoming;

use super::peer::Peer;

/// One of the ways into a server. All of them share its bounds.
#[derive(Debug)]
pub struct Entrance {
    /// What it is called; `None` for the one that every server has.
    pub listener: Option<ListenerName>,
    /// Who comes by it.
    pub incoming: TcpIncoming,
}

/// By which listener a request with these extensions came.
pub fn listener_of(request: &Extensions) -> Option<&ListenerName> {
    request.get::<Peer>().and_then(Peer::listener)
}

#[cfg(test)]
mod tests {
    use super::super::peer::Admitted;
    use super::*;

    #[test]
    fn a_request_knows_by_which_listener_it_came() {
        let name = ListenerName::new("EXTERNAL");
        let mut extensions = Extensions::default();
        assert_eq!(listener_of(&extensions), None);
        extensions.insert(Peer::new(Admitted::Within, 0, name.clone()));
        assert_eq!(listener_of(&extensions), name.as_ref());
    }
}
