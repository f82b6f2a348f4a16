//! Content types. Confluent's registry speaks three, all of them JSON, and never names a charset.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// What is answered, the preferred one first.
const SPOKEN: [&str; 3] = [
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
];

/// What is read besides those.
const OCTETS: &str = "application/octet-stream";

/// Refuses what cannot be answered in a type the client accepts (406), and bodies of a type that
/// is not read (415).
pub(super) async fn check(request: Request, next: Next) -> Response {
    if acceptable(request.headers()).is_none() {
        return ApiError::not_acceptable().into_response();
    }
    let has_body = matches!(*request.method(), Method::POST | Method::PUT);
    if has_body && !is_readable(request.headers()) {
        return ApiError::unsupported_media_type().into_response();
    }
    next.run(request).await
}

/// Puts the negotiated type on every response, errors among them.
pub(super) async fn label(request: Request, next: Next) -> Response {
    let [preferred, ..] = SPOKEN;
    let spoken = acceptable(request.headers()).unwrap_or(preferred);
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(spoken));
    response
}

/// The type the client likes best, the first of ours among equals.
fn acceptable(headers: &HeaderMap) -> Option<&'static str> {
    let [preferred, ..] = SPOKEN;
    let mut accepts = headers.get_all(header::ACCEPT).iter().peekable();
    if accepts.peek().is_none() {
        return Some(preferred);
    }
    let ranges: Vec<_> = accepts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(range)
        .collect();
    let mut best: Option<(u16, &'static str)> = None;
    for spoken in SPOKEN {
        let quality =
            ranges.iter().filter(|(range, _)| covers(range, spoken)).map(|(_, q)| *q).max();
        let quality = quality.filter(|quality| 0 < *quality);
        if let Some(quality) = quality
            && best.is_none_or(|(best, _)| best < quality)
        {
            best = Some((quality, spoken));
        }
    }
    best.map(|(_, spoken)| spoken)
}

/// A media range with its quality in thousandths.
fn range(text: &str) -> (String, u16) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, quality)| thousandths(quality.trim()));
    (range, quality.unwrap_or(1000))
}

/// Reads `0.75` as 750: one digit and up to three more.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if 3 < fraction.len() {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    let whole: u16 = whole.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction).filter(|quality| *quality <= 1000)
}

fn covers(range: &str, spoken: &str) -> bool {
    range == "*/*" || range == "application/*" || range == spoken
}

fn is_readable(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return true };
    let Ok(given) = given.to_str() else { return false };
    let given = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    given == OCTETS || SPOKEN.contains(&given.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        assert_eq!(acceptable(&headers), expected, "{accept}");
    }

    #[test]
    fn the_client_gets_the_type_it_likes_best() {
        let [first, second, json] = SPOKEN.map(Some);
        check("*/*", first);
        check("application/*", first);
        check("application/json", json);
        check("text/html, application/json;q=0.9, */*;q=0.8", json);
        check("application/json, application/vnd.schemaregistry.v1+json", first);
        check("application/json;q=0.5, application/vnd.schemaregistry+json; q=0.6", second);
        check("text/html", None);
        check("application/json;q=0", None);
    }
}
