//! `aws estimate`: estimates what a job costs on MediaConvert, on Lambda and on your own machine, and shows how.
//!
//! It calls no service: the prices come from a file.

use std::process::ExitCode;

use abanico_estimate::{
    ComputeEstimate, Machine, MediaConvertEstimate, MicroUsd, Prices, bill, own_machine, serverless,
};
use abanico_media::{ExactTime, Rational};
use anyhow::Context;
use serde_json::json;

use super::super::plan::planned;
use crate::arguments::AwsEstimate;
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;

/// Prints the estimate.
pub async fn run(region: Option<&str>, estimate: AwsEstimate) -> anyhow::Result<ExitCode> {
    let prices = prices(&estimate)?;
    let name = region.unwrap_or("us-east-1");
    let region = prices.region(name).map_err(|error| {
        let hint = "give your own price list with --prices; crates/estimate/prices.toml shows the format";
        Hinted::new(WRONG_USAGE, error.to_string(), hint)
    })?;
    let (input, plan) = planned(&estimate.file, &estimate.choice, 1).await?;
    let machine = Machine {
        processors: estimate.own_processors,
        watts: estimate.own_watts,
        kilowatt_hour: estimate.kilowatt_hour.0,
        hour: estimate.machine_hour.0,
    };
    let on_aws = bill(&plan, &prices, region);
    let on_lambda = serverless(&plan, &input, &prices, region, estimate.speed_factor.0);
    let at_home = own_machine(&plan, &input, &prices, machine);
    if estimate.json {
        output::json(&json!({
            "region": name, "pricesOf": prices.date, "jobs": estimate.jobs,
            "mediaconvert": on_aws, "lambda": on_lambda, "own": at_home,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    show_bill(&on_aws);
    output::line("");
    show_totals(&on_aws, on_lambda.as_ref(), at_home.as_ref(), estimate.jobs);
    output::line("");
    for line in how(&prices, region, name, &estimate) {
        output::line(line);
    }
    Ok(ExitCode::SUCCESS)
}

fn prices(estimate: &AwsEstimate) -> anyhow::Result<Prices> {
    let Some(file) = &estimate.prices else { return Ok(Prices::built_in()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Prices::parse(&text).map_err(|error| {
        let hint = "crates/estimate/prices.toml shows the format";
        Hinted::new(WRONG_USAGE, error.to_string(), hint).into()
    })
}

fn show_bill(bill: &MediaConvertEstimate) {
    let rows: Vec<Vec<String>> = bill
        .outputs
        .iter()
        .map(|one| {
            vec![
                one.url.rsplit('/').next().unwrap_or(&one.url).to_owned(),
                one.codec.clone(),
                one.size_class.to_owned(),
                one.rate_class.to_owned(),
                one.tier.to_owned(),
                one.seconds.to_string(),
                one.multiplier.map_or("not known".to_owned(), |multiplier| multiplier.to_string()),
                amount(one.price),
            ]
        })
        .collect();
    let head = ["MediaConvert output", "codec", "size", "fps", "tier", "billed s", "multiplier", "price"];
    for line in output::table(&head, &rows) {
        output::line(line);
    }
}

fn show_totals(
    bill: &MediaConvertEstimate,
    on_lambda: Option<&ComputeEstimate>,
    at_home: Option<&ComputeEstimate>,
    jobs: u64,
) {
    let compute = |name: &str, estimate: Option<&ComputeEstimate>| {
        let told = estimate.map_or("not measured for this codec".to_owned(), |one| {
            format!(
                "{} CPU s, {} part(s), done in {} s at best",
                one.cpu_seconds, one.parts, one.wall_seconds
            )
        });
        let price = estimate.map(|one| one.price);
        vec![name.to_owned(), amount(price), amount(price.map(|price| price.times(jobs))), told]
    };
    let rows = vec![
        vec![
            "MediaConvert".to_owned(),
            amount(bill.total),
            amount(bill.total.map(|price| price.times(jobs))),
            "without the volume discount".to_owned(),
        ],
        compute("Lambda, abanico's encoders", on_lambda),
        compute("your own machine", at_home),
    ];
    let many = format!("{jobs} such jobs");
    for line in output::table(&["where", "one job", &many, "how"], &rows) {
        output::line(line);
    }
}

fn amount(price: Option<MicroUsd>) -> String {
    price.map_or("not known".to_owned(), |price| price.to_string())
}

fn how(
    prices: &Prices,
    region: &abanico_estimate::RegionPrices,
    name: &str,
    estimate: &AwsEstimate,
) -> Vec<String> {
    vec![
        format!("prices of {} in {name}; {}", prices.date, region.mediaconvert_source),
        format!("multipliers: {}", prices.multipliers.source),
        "each output: whole seconds, at least 10, times the multiplier for size and frame rate; storage, requests and transfer not counted"
            .to_owned(),
        format!("Lambda: 1,769 MB of memory per processor, at most 15 minutes per invocation; {}", region.lambda_source),
        format!("CPU: {}; a Lambda processor at {} times that speed", prices.speed.source, plain(estimate.speed_factor)),
        format!(
            "own machine: {} processors, {} W, {} USD per kWh, {} USD per hour",
            estimate.own_processors, estimate.own_watts, plain(estimate.kilowatt_hour), plain(estimate.machine_hour)
        ),
    ]
}

/// Formats a decimal number without trailing zeros.
fn plain(number: Decimal) -> String {
    let text = ExactTime::from_seconds(number.0).decimal();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A decimal number from the command line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decimal(pub Rational);

/// Parses a decimal number with at most 15 digits and no sign.
pub fn decimal(text: &str) -> Result<Decimal, String> {
    let wrong = || format!("`{text}` is not a decimal number such as 0.25");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let scale = 10_i64.pow(u32::try_from(fraction.len()).map_err(|_| wrong())?);
    Rational::checked(digits.parse().map_err(|_| wrong())?, scale).map(Decimal).ok_or_else(wrong)
}

/// Parses a decimal number greater than zero.
pub fn positive(text: &str) -> Result<Decimal, String> {
    decimal(text).and_then(|number| {
        if number.0 > Rational::ZERO { Ok(number) } else { Err("must be above zero".to_owned()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_bounded() {
        assert_eq!(decimal("0.30"), Ok(Decimal(Rational::new(3, 10))));
        assert_eq!(plain(decimal("12.50").unwrap()), "12.5");
        for wrong in ["", ".", "-1", "1e9", "1234567890123456"] {
            assert!(decimal(wrong).is_err(), "{wrong}");
        }
        assert!(positive("0").is_err() && positive("0.5").is_ok());
    }
}
