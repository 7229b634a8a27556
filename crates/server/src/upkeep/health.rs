//! Tells whether the server works: `/readyz`, and a warning header on answers while records are put aside. Names of
//! records are only for local clients and the operator.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use abanico_engine::{DiskOutlook, Troubles};

use crate::edge::Edge;
use crate::entry::authentication::operator;
use crate::events::receivers::Standing;
use crate::events::redelivery;
use crate::upkeep::metrics::is_from_here;

/// Header of answers that may be incomplete, because records cannot be read.
pub(crate) const WARNING: HeaderName = HeaderName::from_static("x-abanico-warning");
/// A disk that is full within this time is told.
const SOON: Duration = Duration::from_secs(24 * 3_600);
/// How many records a warning names.
const NAMED: usize = 5;

/// Reports ready if the job database is readable and the server is not stopping. What is wrong besides is told in
/// further lines; it stops nothing, so the server is ready all the same.
pub(crate) async fn ready(State(edge): State<Edge>, request: Request) -> Response {
    if edge.draining.is_cancelled() || edge.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let is_told = is_from_here(&request) || operator(&edge, request).await.is_ok();
    match edge.engine.troubles().await {
        Ok(troubles) => {
            let uploads = edge.outbox.put_aside().await.unwrap_or_default();
            let disk = edge.engine.disk_outlook().await.ok();
            let behind = redelivery::standings(&edge).await.unwrap_or_default();
            let behind: Vec<String> = behind.iter().filter_map(Standing::trouble).collect();
            report(&troubles, &uploads, &edge.warnings, &behind, disk.as_ref(), is_told).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "cannot read the job database\n").into_response()
        }
    }
}

/// Returns the text of a server that works, with a line for each thing that is wrong.
fn report(
    troubles: &Troubles,
    uploads: &[String],
    weaknesses: &[String],
    behind: &[String],
    disk: Option<&DiskOutlook>,
    is_told: bool,
) -> String {
    let records = troubles.put_aside.iter().map(ToString::to_string).chain(uploads.iter().cloned());
    let records: Vec<String> = records.collect();
    let mut lines = Vec::new();
    if is_told {
        lines.extend(
            records.iter().map(|record| format!("record put aside: {record}; see `abanico records`")),
        );
        lines.extend(troubles.damage.iter().cloned());
        lines.extend(weaknesses.iter().cloned());
        lines.extend(behind.iter().cloned());
    } else {
        if !records.is_empty() {
            lines.push(format!("records put aside: {}", records.len()));
        }
        lines.extend(troubles.damage.first().map(|_| "a database is damaged".to_owned()));
        lines.extend(weaknesses.first().map(|_| "the sandbox is not whole".to_owned()));
        if !behind.is_empty() {
            lines.push(format!("receivers of events that are behind: {}", behind.len()));
        }
    }
    if let Some(free_bytes) = troubles.low_disk_bytes {
        let free = free_bytes >> 20;
        lines.push(format!(
            "low disk space: {free} MiB free on the disk of the data folder; see `abanico gc`"
        ));
    }
    lines.extend(disk.into_iter().flat_map(foreseen));
    let first = if lines.is_empty() { "ready" } else { "ready, but degraded" };
    std::iter::once(first.to_owned()).chain(lines).map(|line| line + "\n").collect()
}

/// Returns what is foreseen about the disk of the data folder.
fn foreseen(disk: &DiskOutlook) -> Vec<String> {
    let mib = |bytes: u64| bytes >> 20;
    let mut lines = Vec::new();
    if disk.is_too_small() {
        lines.push(format!(
            "the disk of the data folder is going to be full: running and waiting jobs need about {} MiB, {} MiB are free; see `abanico gc`",
            mib(disk.needed_bytes),
            mib(disk.free_bytes)
        ));
    }
    if let Some(full_in) = disk.full_in.filter(|full_in| *full_in < SOON) {
        lines.push(format!(
            "the disk of the data folder is full in about {} min at the pace of the last hour; see `abanico gc`",
            full_in.as_secs() / 60
        ));
    }
    lines
}

/// Adds a warning to answers that list or show something, while records are put aside: AWS's answers have no member
/// for it.
pub(crate) async fn warn(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let mut response = next.run(request).await;
    if reads
        && response.status().is_success()
        && let Ok(troubles) = edge.engine.troubles().await
        && let Some(warning) = warning(&troubles)
    {
        response.headers_mut().insert(WARNING, warning);
    }
    response
}

fn warning(troubles: &Troubles) -> Option<HeaderValue> {
    let count = troubles.put_aside.len();
    if count == 0 {
        return None;
    }
    let named =
        troubles.put_aside.iter().take(NAMED).map(|record| format!("{}/{}", record.place, record.name));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = if count > NAMED { ", ..." } else { "" };
    let text = format!(
        "{count} unreadable records were put aside and are not shown: {named}{more}; see abanico records"
    );
    let plain =
        text.chars().map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' });
    HeaderValue::from_str(&plain.collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use abanico_engine::PutAside;

    use super::*;

    fn troubles(names: &[&str]) -> Troubles {
        let put_aside = names.iter().map(|name| PutAside {
            id: 1,
            place: "jobs".to_owned(),
            name: (*name).to_owned(),
            reason: "its checksum is wrong".to_owned(),
            at_ms: 0,
        });
        Troubles { put_aside: put_aside.collect(), ..Troubles::default() }
    }

    #[test]
    fn sound_server_is_only_ready() {
        let roomy = DiskOutlook { free_bytes: 1, full_in: Some(2 * SOON), ..DiskOutlook::default() };
        assert_eq!(report(&Troubles::default(), &[], &[], &[], Some(&roomy), true), "ready\n");
        assert_eq!(warning(&Troubles::default()), None);
    }

    #[test]
    fn full_disk_is_told_before_it_is_full() {
        let disk = DiskOutlook {
            free_bytes: 3 << 20,
            size_bytes: 9 << 20,
            needed_bytes: 7 << 20,
            full_in: Some(Duration::from_secs(150)),
        };
        let text = report(&Troubles::default(), &[], &[], &[], Some(&disk), false);
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, "ready, but degraded");
        assert!(rest.contains("need about 7 MiB, 3 MiB are free; see `abanico gc`"), "{rest}");
        assert!(rest.contains("full in about 2 min"), "{rest}");
    }

    #[test]
    fn names_are_told_only_to_those_who_may_know() {
        let all = Troubles {
            damage: vec!["the database `x` is damaged".to_owned()],
            low_disk_bytes: Some(5 << 20),
            ..troubles(&["1-a"])
        };
        let (uploads, weak) = (["`outbox/7` (no)".to_owned()], ["this kernel has no Landlock".to_owned()]);
        let behind = ["http://hook is behind: 3 events wait".to_owned()];
        let told = report(&all, &uploads, &weak, &behind, None, true);
        assert!(told.starts_with("ready, but degraded\n"), "{told}");
        for part in [
            "jobs/1-a",
            "its checksum is wrong",
            "outbox/7",
            "`x` is damaged",
            "no Landlock",
            "5 MiB",
            "http://hook",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        let others = report(&all, &uploads, &weak, &behind, None, false);
        assert_eq!(
            others,
            "ready, but degraded\nrecords put aside: 2\na database is damaged\nthe sandbox is not whole\nreceivers of events that are behind: 1\nlow disk space: 5 MiB free on the disk of the data folder; see `abanico gc`\n"
        );
    }

    #[test]
    fn warning_names_a_few_records_in_plain_letters() {
        let text = warning(&troubles(&["1-ä\n", "2", "3", "4", "5", "6"])).unwrap();
        let text = text.to_str().unwrap();
        assert!(
            text.starts_with("6 ") && text.contains("jobs/1-??, jobs/2") && !text.contains("jobs/6"),
            "{text}"
        );
    }
}
