//! A real HTTP server on loopback that answers by a script and records the requests.
//!
//! It gives only one answer per connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
#[derive(Clone)]
pub struct Answer {
    head: String,
    body: Vec<u8>,
    /// Whether the connection stays open, silent, after the body.
    hangs: bool,
}

impl Answer {
    /// Makes an answer with this status, these headers and this body, and the right `Content-Length`.
    pub fn of(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::of_length(status, headers, body, body.len())
    }

    /// Makes an answer that promises `length` bytes, sends `body` and ends.
    pub fn of_length(status: &str, headers: &[(&str, &str)], body: &[u8], length: usize) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self { head: format!("{head}\r\n"), body: body.to_vec(), hangs: false }
    }

    /// Makes a redirect to `location`.
    pub fn redirect(location: &str) -> Self {
        Self::of("302 Found", &[("Location", location)], b"")
    }

    /// Makes an answer of exactly these bytes.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { head: String::new(), body: bytes.to_vec(), hangs: false }
    }

    /// Makes the same answer, but leaves the connection open.
    pub fn and_hang(self) -> Self {
        Self { hangs: true, ..self }
    }
}

/// The server. Gives each request the next answer of its script, and repeats the last one when there are no more.
pub struct ScriptedServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl ScriptedServer {
    pub async fn start(script: impl FnOnce(SocketAddr) -> Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = script(address);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), seen.clone());
                tokio::spawn(async move { serve(connection, &script, &seen).await });
            }
        });
        Self { address, requests, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops listening.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Returns the heads of all requests, in order, with lower-case header names.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut connection: TcpStream, script: &[Answer], seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let index = {
        let mut seen = seen.lock().unwrap();
        seen.push(String::from_utf8(head).unwrap());
        seen.len() - 1
    };
    let answer = &script[index.min(script.len() - 1)];
    let _ = connection.write_all(answer.head.as_bytes()).await;
    let _ = connection.write_all(&answer.body).await;
    let _ = connection.flush().await;
    if answer.hangs {
        // Wait until the client closes the connection.
        let _ = connection.read_u8().await;
    }
}
