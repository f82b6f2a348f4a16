use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use types::{Code, Coded};

use super::*;

/// A registry of one trick: answers every request below `/subjects` and `/schemas` as told.
async fn registry(status: StatusCode, body: &'static str) -> RegistryClient {
    let answer = move || async move { (status, body) };
    let app = Router::new()
        .route("/subjects/{subject}/versions", post(answer))
        .route("/schemas/ids/{id}", get(answer));
    serve(app).await
}

async fn serve(app: Router) -> RegistryClient {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    RegistryClient::new(&url).unwrap()
}

#[tokio::test]
async fn a_schema_is_asked_for_once() {
    let registry = registry(StatusCode::OK, r#"{"schema":"\"string\""}"#).await;
    assert_eq!(registry.schema(SchemaId::new(1)).await.unwrap(), "\"string\"");
    let elsewhere = RegistryClient { url: Arc::from("http://127.0.0.1:1"), ..registry };
    assert_eq!(elsewhere.schema(SchemaId::new(1)).await.unwrap(), "\"string\"");
    assert!(elsewhere.schema(SchemaId::new(2)).await.is_err());
}

#[tokio::test]
async fn a_subject_with_a_slash_is_one_path_segment() {
    let echo = |Path(subject): Path<String>| async move {
        format!(r#"{{"subject":"{subject}","version":1,"id":7,"schema":"s"}}"#)
    };
    let app = Router::new().route("/subjects/{subject}/versions/latest", get(echo));
    let found = serve(app).await.latest("a/b ç").await.unwrap();
    assert_eq!((found.subject.as_str(), found.id), ("a/b ç", SchemaId::new(7)));
}

#[tokio::test]
async fn an_incompatible_schema_is_told_apart_from_an_invalid_one() {
    let body = r#"{"error_code":409,"message":"details"}"#;
    let refused = registry(StatusCode::CONFLICT, body).await.register("s", "{}").await;
    assert_eq!(refused, Err(RegistryError::Incompatible { message: "details".into() }));

    let body = r#"{"error_code":42201,"message":"\"integer\" is not a defined name"}"#;
    let refused = registry(StatusCode::UNPROCESSABLE_ENTITY, body).await.register("s", "{}").await;
    let message = "\"integer\" is not a defined name".to_owned();
    assert_eq!(refused, Err(RegistryError::InvalidSchema { message }));
}

#[tokio::test]
async fn a_page_that_is_not_there_is_not_a_schema_that_is_not_there() {
    let registry = registry(StatusCode::NOT_FOUND, "<html>not here</html>").await;
    let refused = registry.schema(SchemaId::new(1)).await.unwrap_err();
    assert!(!refused.is_not_found(), "{refused:?}");
}

#[tokio::test]
async fn an_id_that_no_registry_gives_out_is_not_found_whatever_the_registry_says() {
    let registry = registry(StatusCode::NOT_FOUND, "HTTP 404 Not Found").await;
    for id in [0, 1 << 31, u32::MAX] {
        assert!(registry.schema(SchemaId::new(id)).await.unwrap_err().is_not_found(), "{id}");
    }
}

#[tokio::test]
async fn a_registry_that_hangs_is_waited_for_as_long_as_was_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let registry = RegistryClient::with_timeout(&url, Duration::from_millis(100)).unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(20), registry.subjects()).await;
    assert!(matches!(asked.unwrap(), Err(RegistryError::Unreachable { .. })));
}

#[tokio::test]
async fn a_missing_schema_is_not_found() {
    let body = r#"{"error_code":40403,"message":"Schema 1 not found"}"#;
    let registry = registry(StatusCode::NOT_FOUND, body).await;
    assert!(registry.schema(SchemaId::new(1)).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_schema_of_another_kind_is_named() {
    let registry = registry(StatusCode::OK, r#"{"schema":"x","schemaType":"PROTOBUF"}"#).await;
    let refused = registry.schema(SchemaId::new(1)).await;
    assert_eq!(refused, Err(RegistryError::NotAvro { found: "PROTOBUF".into() }));
}

#[tokio::test]
async fn a_registry_that_is_down_is_named_by_its_address() {
    let registry = RegistryClient::new("http://127.0.0.1:1").unwrap();
    let error = registry.subjects().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    for url in ["", "localhost:8081", "mailto:a@b"] {
        let refused = RegistryClient::new(url);
        assert!(matches!(refused, Err(RegistryError::InvalidUrl { .. })), "{url}: {refused:?}");
    }
}
