//! Finds the URL of a service from its name, a region and environment variables.
//!
//! It sends no request: MediaConvert no longer needs account-specific endpoints.

use reqwest::Url;

use crate::Error;

/// Returns the endpoint of `service` (its host name, such as `mediaconvert`, `s3`, `events` or `logs`) in `region`.
///
/// `AWS_ENDPOINT_URL_<SERVICE ID>` takes precedence over `AWS_ENDPOINT_URL`, as in AWS's SDKs. If neither is set, this
/// is AWS's regional endpoint in the region's partition.
///
/// # Errors
/// Returns [`ErrorKind::Setting`](crate::ErrorKind::Setting) if a variable is not an HTTP or HTTPS URL, or `region` is
/// not a valid region name.
pub fn endpoint(
    service: &str,
    region: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Url, Error> {
    let own = format!("AWS_ENDPOINT_URL_{}", service_id(service));
    for name in [own.as_str(), "AWS_ENDPOINT_URL"] {
        if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
            let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            return url.ok_or_else(|| {
                Error::setting(format!("`{name}` is `{text}`: give a URL such as https://host:port"))
            });
        }
    }
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if region.is_empty() || !is_name(region) {
        return Err(Error::setting(format!(
            "`{region}` is not an AWS region: set AWS_REGION, such as eu-west-1"
        )));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let text = format!("https://{service}.{region}.{domain}");
    Url::parse(&text)
        .map_err(|_| Error::setting(format!("`{text}` is not a valid endpoint: check the region")))
}

/// Returns the service's id in the names of AWS's variables. For some services it differs from the host name (AWS,
/// "Service-specific endpoints").
fn service_id(service: &str) -> String {
    match service {
        "events" => "EVENTBRIDGE".to_owned(),
        "logs" => "CLOUDWATCH_LOGS".to_owned(),
        other => other.to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_of_the_service_takes_precedence() {
        let both = |name: &str| match name {
            "AWS_ENDPOINT_URL_MEDIACONVERT" => Some("http://127.0.0.1:1".to_owned()),
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:2".to_owned()),
            _ => None,
        };
        assert_eq!(endpoint("mediaconvert", "x", &both).unwrap().port(), Some(1));
        assert_eq!(endpoint("s3", "x", &both).unwrap().port(), Some(2));
    }

    #[test]
    fn variables_use_the_service_id_of_aws() {
        let seen = std::cell::RefCell::new(Vec::new());
        for service in ["events", "logs", "cloudformation", "sts"] {
            let _ = endpoint(service, "eu-west-1", &|name| {
                seen.borrow_mut().push(name.trim_start_matches("AWS_ENDPOINT_URL").to_owned());
                None
            });
        }
        let named: Vec<String> = seen.into_inner().into_iter().filter(|name| !name.is_empty()).collect();
        assert_eq!(named, ["_EVENTBRIDGE", "_CLOUDWATCH_LOGS", "_CLOUDFORMATION", "_STS"]);
    }

    #[test]
    fn each_partition_has_its_domain() {
        for (region, host) in [
            ("eu-west-1", "sqs.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "sqs.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sqs.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(endpoint("sqs", region, &|_| None).unwrap().host_str(), Some(host));
        }
    }

    #[test]
    fn unusable_values_are_named() {
        let bad = endpoint("s3", "r", &|_| Some("ftp://x".to_owned())).unwrap_err();
        assert!(bad.to_string().contains("AWS_ENDPOINT_URL_S3"), "{bad}");
        for region in ["", "a.b", "evil/"] {
            assert!(endpoint("s3", region, &|_| None).unwrap_err().to_string().contains("AWS_REGION"));
        }
    }
}
