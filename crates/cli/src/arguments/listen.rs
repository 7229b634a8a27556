//! Reads the address to listen on, as people write it. It looks no name up: `localhost` is 127.0.0.1, and what names
//! no address is an address of this machine alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Reads `ADDR:PORT`, `localhost:PORT`, `:PORT` or `PORT`.
///
/// # Errors
/// Fails with a text for the user if there is no port, or another name than `localhost`.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let Some(port) = port.parse().ok().filter(|_| is_port) else {
        return Err(format!("`{text}` has no port from 0 to 65535; write for example 127.0.0.1:4566"));
    };
    if host.is_empty() || host == "localhost" {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    Err(format!("`{host}` is no address; give one of this machine, such as 127.0.0.1, or 0.0.0.0 for all"))
}

/// Deserializes the address from a text or a number.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    use serde::Deserialize;
    use serde::de::Error;
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::Integer(port) => port.to_string(),
        toml::Value::String(text) => text,
        _ => return Err(D::Error::custom("`listen` is an address with a port, as in \"127.0.0.1:4566\"")),
    };
    parse(&text).map_err(D::Error::custom)
}

/// Like [`deserialize`], for an address that may be left out.
pub fn deserialize_option<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_may_be_left_out() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:4566", "0.0.0.0:4566"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:4566", "127.0.0.1:4566"),
            (":4566", "127.0.0.1:4566"),
            ("4566", "127.0.0.1:4566"),
            ("0", "127.0.0.1:0"),
        ] {
            assert_eq!(parse(text), Ok(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn wrong_address_is_named() {
        for (text, named) in [
            ("", "has no port"),
            ("localhost", "`localhost` has no port"),
            ("127.0.0.1", "`127.0.0.1` has no port"),
            ("127.0.0.1:", "has no port"),
            (":65536", "has no port"),
            ("+80", "has no port"),
            ("example.com:80", "`example.com` is no address"),
            ("::1:80", "`::1` is no address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
