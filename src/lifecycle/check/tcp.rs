//! A connect, closed at once.

use tokio::net::TcpStream;

use super::target::Addr;

pub(super) async fn look(place: &Addr) -> Result<(), String> {
    match TcpStream::connect((place.host.as_str(), place.port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(words(&error)),
    }
}

/// What went wrong, without an errno's number.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
