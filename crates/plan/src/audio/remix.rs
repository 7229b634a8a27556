//! Reads a description's remix settings as a matrix of gains from input to output channels.

use abanico_model::generated::RemixSettings;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Gains up to this one mute, in thousandths of a decibel (AWS's service model: -60 is silence).
const MUTED: i32 = -60_000;

/// Gains from input to output channels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remix {
    /// A row for each output channel: the gains of the input channels, in their order and in thousandths of a
    /// decibel. `None` mutes.
    pub gains: Vec<Vec<Option<i32>>>,
}

impl Remix {
    /// Returns the number of channels after remixing.
    pub fn channels(&self) -> u16 {
        u16::try_from(self.gains.len()).unwrap_or(u16::MAX)
    }

    /// Reads the settings; `None` if they map nothing.
    ///
    /// # Errors
    /// Fails if the numbers of rows and channels contradict each other.
    pub(crate) fn from_settings(settings: &RemixSettings, pointer: &str) -> Result<Option<Self>, Error> {
        let mapping = settings.channel_mapping.as_ref().and_then(|mapping| mapping.output_channels.as_ref());
        let Some(rows) = mapping.filter(|rows| !rows.is_empty()) else { return Ok(None) };
        let gains: Vec<Vec<Option<i32>>> = rows
            .iter()
            .map(|row| match (&row.input_channels_fine_tune, &row.input_channels) {
                (Some(fine), _) => {
                    fine.iter().map(|decibel| gain((decibel * 1000.0).round() as i32)).collect()
                }
                (None, Some(whole)) => {
                    whole.iter().map(|decibel| gain(i32::try_from(*decibel).unwrap_or(0) * 1000)).collect()
                }
                (None, None) => Vec::new(),
            })
            .collect();
        let check = |count: Option<i64>, found: usize, member: &str, what: &str| match count {
            Some(count) if usize::try_from(count) != Ok(found) => Err(Error::setting(
                &format!("{pointer}/{member}"),
                &format!("{member} is {count}, but channelMapping has {found} {what}"),
            )),
            _ => Ok(()),
        };
        check(settings.channels_out, gains.len(), "channelsOut", "outputChannels")?;
        for row in &gains {
            check(settings.channels_in, row.len(), "channelsIn", "inputChannels in a row")?;
        }
        Ok(Some(Self { gains }))
    }
}

fn gain(thousandths: i32) -> Option<i32> {
    (thousandths > MUTED).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn remix(settings: Value) -> Result<Option<Remix>, Error> {
        Remix::from_settings(&serde_json::from_value(settings).unwrap(), "/r")
    }

    #[test]
    fn rows_become_gains_and_minus_60_mutes() {
        let settings = json!({"channelsIn": 2, "channelsOut": 2, "channelMapping": {"outputChannels": [
            {"inputChannels": [0, -60]}, {"inputChannelsFineTune": [-60.0, -3.25]}]}});
        let made = remix(settings).unwrap().unwrap();
        assert_eq!((made.channels(), made.gains), (2, vec![vec![Some(0), None], vec![None, Some(-3250)]]));
        assert_eq!(remix(json!({})).unwrap(), None);
    }

    #[test]
    fn contradictory_channel_counts_are_refused() {
        let rows = json!({"outputChannels": [{"inputChannels": [0, 0]}]});
        let wrong_out = remix(json!({"channelsOut": 2, "channelMapping": rows})).unwrap_err().to_string();
        assert!(wrong_out.contains("channelsOut is 2"), "{wrong_out}");
        let wrong_in = remix(json!({"channelsIn": 6, "channelMapping": rows})).unwrap_err().to_string();
        assert!(wrong_in.contains("/r/channelsIn"), "{wrong_in}");
    }
}
