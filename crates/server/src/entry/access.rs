//! Answers who calls and by which name: whether a `Host` header names this server, whether the browser came over TLS,
//! and whose guesses a wrong secret counts for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use abanico_s3::BaseDomains;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri, header};

use crate::api::error_table::{Error, ErrorKind};
use crate::edge::Edge;
use crate::entry::guesses::Caller;

/// By which names and through which proxies clients reach the server.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names that clients may use in `Host`, without port. IP addresses and the names of loopback are always allowed.
    pub hosts: Vec<String>,
    /// Addresses of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The domains below which a name in `Host` is a bucket of the S3 endpoint.
    pub base_domains: BaseDomains,
}

/// Refuses requests to the console and to monitoring whose `Host` is not a name of this server.
pub(crate) async fn require_known_host(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    match edge.access.check_host(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl Access {
    /// Checks that the client named this server. A page whose own name was pointed at this server's address (DNS
    /// rebinding) would otherwise have this server's origin.
    ///
    /// # Errors
    /// Fails if the name is missing, repeated or unknown.
    pub(crate) fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Error> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|_| hosts.next().is_none()) else {
            return Err(Error::bad_request("the request needs exactly one `Host` header"));
        };
        let also_named = uri.authority().is_none_or(|authority| self.knows(authority.as_str()));
        if also_named && self.knows(host) {
            return Ok(());
        }
        let what = format!("`{host}` is not a name of this server; add it to `hosts` in the configuration");
        Err(Error::new(ErrorKind::Forbidden, what))
    }

    /// Returns whether a host with or without port names this server. An address always does: no page from elsewhere
    /// can have it as its own name.
    pub(crate) fn knows(&self, host: &str) -> bool {
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let is_whole = inner.1.is_empty() || inner.1.starts_with(':');
            return is_whole && inner.0.parse::<Ipv6Addr>().is_ok();
        }
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&name))
    }

    /// Returns whether the browser came over TLS, which only a trusted proxy can say.
    pub(crate) fn is_tls(&self, request: &Request) -> bool {
        let said = request.headers().get_all("x-forwarded-proto").iter().next_back();
        let said = said.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        self.is_trusted(peer(request)) && said.is_some_and(|scheme| scheme.trim() == "https")
    }

    /// Returns whom a wrong secret counts for.
    pub(crate) fn caller(&self, request: &Request) -> Caller {
        let Some(peer) = peer(request) else { return Caller::Local };
        let ip = peer.ip().to_canonical();
        if is_forwarded(request.headers()) {
            if self.is_trusted(Some(peer)) {
                return self.forwarded_for(request.headers()).map_or(Caller::Proxied, address);
            }
            return if ip.is_loopback() { Caller::Proxied } else { address(ip) };
        }
        if ip.is_loopback() { local_user(peer).map_or(Caller::Local, Caller::LocalUser) } else { address(ip) }
    }

    /// Returns the last address in `X-Forwarded-For` that is not a trusted proxy's. The client may have written those
    /// before it.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lists = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
        let mut addresses = lists.flat_map(|list| list.rsplit(',')).map(|text| text.trim().parse::<IpAddr>());
        let found = addresses.find(|ip| !ip.as_ref().is_ok_and(|ip| self.trusts(ip.to_canonical())));
        found?.ok().map(|ip| ip.to_canonical())
    }

    fn is_trusted(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.trusts(peer.ip().to_canonical()))
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.to_canonical() == ip)
    }
}

/// Returns whether a proxy passed the request on. Behind a proxy on this machine, every client looks local.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded")
}

fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// One client can have all addresses of an IPv6 network, so the network counts.
fn address(ip: IpAddr) -> Caller {
    match ip {
        IpAddr::V4(_) => Caller::Address(ip),
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & !u128::from(u64::MAX);
            Caller::Address(IpAddr::V6(Ipv6Addr::from(network)))
        }
    }
}

/// Returns the user whose process made a connection from this machine, as the kernel's table of sockets says.
fn local_user(peer: SocketAddr) -> Option<u32> {
    let port = peer.port();
    let word = |bytes: &[u8]| {
        let bytes: [u8; 4] = bytes.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let long = |ip: Ipv6Addr| ip.octets().chunks(4).map(word).collect::<String>();
    let places = match peer.ip().to_canonical() {
        IpAddr::V4(ip) => {
            vec![("/proc/net/tcp", word(&ip.octets())), ("/proc/net/tcp6", long(ip.to_ipv6_mapped()))]
        }
        IpAddr::V6(ip) => vec![("/proc/net/tcp6", long(ip))],
    };
    places.into_iter().find_map(|(table, ip)| {
        user_of_socket(&std::fs::read_to_string(table).ok()?, &format!("{ip}:{port:04X}"))
    })
}

/// Finds the user of the connected socket with this local address; `None` if there is none, or several users'.
fn user_of_socket(table: &str, local: &str) -> Option<u32> {
    const CONNECTED: &str = "01";
    let mut users = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (address, _, state) = (columns.next()?, columns.next()?, columns.next()?);
        (address == local && state == CONNECTED).then(|| columns.nth(3)?.parse::<u32>().ok()).flatten()
    });
    let user = users.next()?;
    users.all(|other| other == user).then_some(user)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn access() -> Access {
        Access {
            hosts: vec!["console.example".to_owned()],
            trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
            base_domains: BaseDomains::default(),
        }
    }

    fn request(peer: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    #[test]
    fn only_own_names_are_known() {
        for own in [
            "localhost",
            "LOCALHOST:1",
            "a.localhost:4566",
            "127.0.0.1:4566",
            "192.0.2.7",
            "[::1]:4566",
            "console.example",
            "Console.Example.:443",
        ] {
            assert!(access().knows(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "",
            "[evil]",
            "[::1].evil.example",
            "1.2.3",
        ] {
            assert!(!access().knows(other), "{other}");
        }
    }

    #[test]
    fn host_is_needed_once_and_agrees_with_the_target() {
        let check = |hosts: &[&str], uri: &str| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, http::HeaderValue::from_str(host).unwrap());
            }
            access().check_host(&headers, &uri.parse().unwrap()).is_ok()
        };
        assert!(check(&["127.0.0.1"], "/") && check(&["127.0.0.1"], "http://localhost/"));
        assert!(!check(&[], "/") && !check(&["127.0.0.1", "evil.example"], "/"));
        assert!(!check(&["127.0.0.1"], "http://evil.example/"));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let told = [("x-forwarded-for", "192.0.2.9, 10.0.0.1"), ("x-forwarded-proto", "https")];
        assert!(access().is_tls(&request("10.0.0.1:9", &told)));
        assert!(!access().is_tls(&request("10.0.0.2:9", &told)));
        assert!(!access().is_tls(&request("10.0.0.1:9", &[("x-forwarded-proto", "https, http")])));
        let at = |text: &str| Caller::Address(text.parse().unwrap());
        assert_eq!(access().caller(&request("10.0.0.1:9", &told)), at("192.0.2.9"));
        let invented = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.9")];
        assert_eq!(access().caller(&request("10.0.0.1:9", &invented)), at("192.0.2.9"));
        assert_eq!(access().caller(&request("10.0.0.2:9", &told)), at("10.0.0.2"));
        assert_eq!(access().caller(&request("127.0.0.1:9", &told)), Caller::Proxied);
        assert_eq!(access().caller(&request("[2001:db8::5]:9", &[])), at("2001:db8::"));
    }

    #[test]
    fn local_connection_belongs_to_its_user() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let user =
            std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap();
        assert_eq!(local_user(client.local_addr().unwrap()), Some(user));
        let table =
            "head\n 0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000 0 1\n";
        assert_eq!(user_of_socket(table, "0100007F:1F90"), Some(1000));
        assert_eq!(user_of_socket(table, "0100007F:1F91"), None);
        let two = format!("{table}{}", table.replace("head\n", "").replace("  1000 ", "  1001 "));
        assert_eq!(user_of_socket(&two, "0100007F:1F90"), None);
    }
}
