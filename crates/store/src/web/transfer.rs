//! Fetches one whole file from a permitted URL, across redirects and interruptions.
//!
//! It never mixes bytes of two versions of a file, and never takes more bytes than the limit.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use reqwest::{Response, StatusCode, Url};

use super::partial_file::PartialFile;
use super::{FetchedFile, WebInputs, failure, without_secrets};
use crate::{Error, ErrorKind, WebErrorKind};

/// Maximum number of redirects per request.
const MOST_REDIRECTS: usize = 5;
/// Maximum number of times that the transfer of one file resumes after an interruption.
const MOST_INTERRUPTIONS: u32 = 5;
/// Pause after the first interruption; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A file that is being fetched.
pub(crate) struct Transfer<'a> {
    inputs: &'a WebInputs,
    url: Url,
    /// The URL without secrets, for messages.
    place: String,
    file: PartialFile,
    /// Strong entity tag of the version that was partly fetched; `None` if the server does not promise equal bytes.
    strong_tag: Option<HeaderValue>,
}

impl<'a> Transfer<'a> {
    /// Checks the URL and creates the file.
    pub(crate) async fn begin(inputs: &'a WebInputs, url: Url, destination: &Path) -> Result<Self, Error> {
        inputs.permitted(&url)?;
        let place = without_secrets(url.as_str());
        let file = PartialFile::create(destination).await.map_err(|error| on_disk(&place, error))?;
        Ok(Self { inputs, url, place, file, strong_tag: None })
    }

    /// Fetches the whole file.
    pub(crate) async fn run(mut self) -> Result<FetchedFile, Error> {
        let mut interruptions = 0;
        let e_tag = loop {
            let error = match self.attempt().await {
                Ok(e_tag) => break e_tag,
                Err(error) => error,
            };
            // If no byte has arrived, the caller retries instead.
            let goes_on = matches!(error.kind(), ErrorKind::Web(kind) if kind.is_retryable())
                && self.file.bytes() > 0
                && interruptions < MOST_INTERRUPTIONS;
            if !goes_on {
                return Err(error);
            }
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(interruptions)).await;
            interruptions += 1;
        };
        let size_bytes = self.file.bytes();
        self.file.finish().await.map_err(|error| on_disk(&self.place, error))?;
        Ok(FetchedFile { size_bytes, e_tag })
    }

    /// Requests the missing bytes and takes them all. Returns the entity tag.
    async fn attempt(&mut self) -> Result<Option<String>, Error> {
        let mut answer = self.answer().await?;
        if answer.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(self.unusable("the server sent the file compressed although it was asked not to"));
        }
        match answer.status() {
            StatusCode::OK => self.start_anew(answer.headers()).await?,
            StatusCode::PARTIAL_CONTENT if self.continues(answer.headers()) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.strong_tag.is_some() => {
                // Another version, or another range: the next attempt asks for the whole file.
                self.strong_tag = None;
                return Err(failure::interrupted(&self.place, "the server cannot resume the file"));
            }
            status if status.is_success() => {
                return Err(
                    self.unusable(&format!("the server answered `{status}`, which is not a whole file"))
                );
            }
            status => return Err(failure::from_status(&self.place, status)),
        }
        let e_tag = answer.headers().get(ETAG).or(self.strong_tag.as_ref());
        let e_tag = e_tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let length = answer.content_length();
        self.refuse_over(self.file.bytes().saturating_add(length.unwrap_or(0)))?;
        let end = length.map(|length| self.file.bytes() + length);
        self.take_body(&mut answer).await?;
        if end.is_some_and(|end| end != self.file.bytes()) {
            return Err(failure::interrupted(&self.place, "the transfer broke off"));
        }
        Ok(e_tag)
    }

    async fn take_body(&mut self, answer: &mut Response) -> Result<(), Error> {
        let stall = self.inputs.limits.stall;
        loop {
            let waited = tokio::time::timeout(stall, answer.chunk()).await;
            let chunk = waited.map_err(|_| {
                let what = format!("the server sent nothing for {stall:?}");
                failure::interrupted(&self.place, &what)
            })?;
            let chunk = chunk.map_err(|error| failure::from_body(&self.place, error))?;
            let Some(chunk) = chunk else { return Ok(()) };
            self.refuse_over(self.file.bytes() + chunk.len() as u64)?;
            self.file.append(&chunk).await.map_err(|error| on_disk(&self.place, error))?;
        }
    }

    async fn start_anew(&mut self, headers: &HeaderMap) -> Result<(), Error> {
        self.file.clear().await.map_err(|error| on_disk(&self.place, error))?;
        let strong = |tag: &&HeaderValue| tag.as_bytes().starts_with(b"\"");
        self.strong_tag = headers.get(ETAG).filter(strong).cloned();
        Ok(())
    }

    /// Whether a partial answer is of the same version and begins where the file ends.
    fn continues(&self, headers: &HeaderMap) -> bool {
        let begins = headers
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        let same = headers.get(ETAG).is_none_or(|tag| Some(tag) == self.strong_tag.as_ref());
        self.strong_tag.is_some() && same && begins == Some(self.file.bytes())
    }

    /// Sends the request and follows redirects. Each URL is checked before it is requested.
    async fn answer(&self) -> Result<Response, Error> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(&url).await?;
            if !is_redirect(answer.status()) {
                return Ok(answer);
            }
            let next =
                answer.headers().get(LOCATION).and_then(|place| std::str::from_utf8(place.as_bytes()).ok());
            let next = next.and_then(|place| url.join(place).ok());
            let next = next.ok_or_else(|| self.unusable("the server redirects without a valid target"))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                let what = format!("the server redirects from https to `{}`", without_secrets(next.as_str()));
                return Err(Error::web(&self.place, WebErrorKind::Disallowed, what));
            }
            url = next;
        }
        Err(self.unusable(&format!("the server redirects more than {MOST_REDIRECTS} times")))
    }

    async fn ask(&self, url: &Url) -> Result<Response, Error> {
        let client = self.inputs.permitted(url)?;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(tag) = self.strong_tag.as_ref().filter(|_| self.file.bytes() > 0) {
            let range = format!("bytes={}-", self.file.bytes());
            request = request.header(RANGE, range).header(IF_RANGE, tag);
        }
        let place = without_secrets(url.as_str());
        let limits = &self.inputs.limits;
        match tokio::time::timeout(limits.connect + limits.stall, request.send()).await {
            Ok(sent) => sent.map_err(|error| failure::from_sending(&place, error)),
            Err(_) => Err(failure::interrupted(&place, "the server does not answer")),
        }
    }

    fn refuse_over(&self, bytes: u64) -> Result<(), Error> {
        let most = self.inputs.limits.most_bytes;
        if bytes <= most {
            return Ok(());
        }
        let what =
            format!("the file has more than {most} bytes: raise `max_bytes` of `[web_inputs]` to read it");
        Err(Error::web(&self.place, WebErrorKind::OverLimit, what))
    }

    fn unusable(&self, what: &str) -> Error {
        Error::web(&self.place, WebErrorKind::Unusable, what)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn on_disk(place: &str, error: std::io::Error) -> Error {
    Error::web_on_disk(place).because(error)
}
