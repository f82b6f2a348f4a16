use std::net::SocketAddr;
use std::sync::Arc;

use kv_store::{KvStore, MemoryStore};
use registry::{App, Config};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry of its own, on any free port.
pub(crate) struct Registry {
    address: SocketAddr,
    client: Client,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

/// A status with a body, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

pub(crate) fn any_port() -> Config {
    Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() }
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::on(Arc::new(MemoryStore::default()), any_port())
    }

    pub(crate) fn on(store: Arc<dyn KvStore>, config: Config) -> Self {
        Self::run(config.build_on(store).unwrap())
    }

    pub(crate) fn run(app: App) -> Self {
        let shutdown = CancellationToken::new();
        let address = app.address();
        let stop = shutdown.clone();
        let served = tokio::spawn(async move { app.run(stop).await.unwrap() });
        Self { address, client: Client::new(), shutdown, served }
    }

    /// Drains and ends; a store it had open is free again.
    pub(crate) async fn stop(self) {
        drop(self.client);
        self.shutdown.cancel();
        self.served.await.unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let request = self.request(method, path).header("Content-Type", CONTENT_TYPE).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn register(&self, subject: &str, schema: &str) -> Answer {
        self.post(&format!("/subjects/{subject}/versions"), &json!({"schema": schema})).await
    }

    pub(crate) async fn look_up(&self, subject: &str, schema: &str) -> Answer {
        self.post(&format!("/subjects/{subject}"), &json!({"schema": schema})).await
    }
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type");
        let content_type = content_type.map_or("", |value| value.to_str().unwrap()).to_owned();
        Self { status, content_type, text: response.text().await.unwrap() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A 200 with this very text.
    #[track_caller]
    pub(crate) fn is(&self, expected: &str) {
        assert_eq!((self.status, self.text.as_str()), (200, expected));
        assert_eq!(self.content_type, CONTENT_TYPE);
    }

    /// An error of exactly the two fields clients know; the message for further checks.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: u32) -> String {
        let body = self.json();
        assert_eq!(
            (self.status, body["error_code"].as_u64()),
            (status, Some(code.into())),
            "{body}"
        );
        let fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["error_code", "message"], "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

/// A record with one int field per name.
pub(crate) fn record(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|name| json!({"name": name, "type": "int"})).collect();
    json!({"type": "record", "name": "R", "fields": fields}).to_string()
}
