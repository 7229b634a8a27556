//! Builds the filters and chains that draw a rendition's overlays over its finished frames.
//!
//! Overlays never change the time stamps or the number of frames.

use std::path::{Path, PathBuf};

use abanico_media::{ExactTime, FrameRate, Rational};
use abanico_plan::{ColourCorrection, InsertedImage, Overlay, TimecodeStamp, VideoRendition};

use crate::graph_text::escaped;

/// Distance between a timecode and the frame's edge: a twentieth of the frame's height.
const MARGIN: &str = "h/20";

/// Everything needed to draw over one rendition.
pub(crate) struct Drawing<'a> {
    /// Frames per second.
    pub rate: FrameRate,
    /// Matrix of the rendition's frames in the scale filter's words; `None` if unknown.
    pub matrix: Option<&'a str>,
    /// The rendition to draw over.
    pub rendition: &'a VideoRendition,
    /// Caption scripts, by the index that overlays refer to.
    pub captions: &'a [PathBuf],
    /// Index of the first image among the command's inputs; the other images follow it.
    pub first_input: usize,
}

/// Returns the images among the overlays, in order. Each one is an input of the command.
pub(crate) fn overlay_images(overlays: &[Overlay]) -> impl Iterator<Item = &InsertedImage> {
    overlays.iter().filter_map(|overlay| match overlay {
        Overlay::Image(image) => Some(image),
        Overlay::Captions(_) | Overlay::Timecode(_) => None,
    })
}

impl Drawing<'_> {
    /// Returns the chains from `finished`, a pad name in brackets, to the rendition's own pad.
    pub fn chains(&self, finished: &str) -> Vec<String> {
        let index = self.rendition.index;
        let (mut chains, mut from, mut images) = (Vec::new(), finished.to_owned(), 0);
        let last = self.rendition.overlays.len() - 1;
        for (number, overlay) in self.rendition.overlays.iter().enumerate() {
            let to = if number == last { format!("[v{index}]") } else { format!("[o{index}l{number}]") };
            match overlay {
                Overlay::Captions(captions) => {
                    let script =
                        self.captions.get(*captions as usize).map_or(Path::new("missing"), PathBuf::as_path);
                    chains.push(format!("{from}ass=filename={}{to}", escaped(&script.to_string_lossy())));
                }
                Overlay::Timecode(stamp) => chains.push(format!("{from}{}{to}", stamped(stamp))),
                Overlay::Image(image) => {
                    let pad = format!("[i{index}n{images}]");
                    chains.push(format!("[{}:v]{}{pad}", self.first_input + images, self.image(image)));
                    chains.push(format!("{from}{pad}{}{to}", self.laid_over(image)));
                    images += 1;
                }
            }
            from = to;
        }
        chains
    }

    /// Returns the filters that prepare an image for the overlay: scale, opacity and colour format. An image
    /// that fades becomes an endless stream.
    fn image(&self, image: &InsertedImage) -> String {
        let scaled = |own: &str, factor: Option<Rational>| {
            factor.map_or(own.to_owned(), |factor| format!("{own}*{}/{}", factor.num(), factor.den()))
        };
        let side = |pixels: Option<u32>, own: &str, factor: Option<Rational>| {
            pixels.map_or_else(|| scaled(own, factor), |pixels| pixels.to_string())
        };
        let matrix = self.matrix.unwrap_or("bt709");
        let mut filters = vec!["format=rgba".to_owned()];
        if image.opacity_percent < 100 {
            filters.push(format!("colorchannelmixer=aa={}", hundredths(image.opacity_percent)));
        }
        filters.push(format!(
            "scale={}:{}:flags=bicubic:out_color_matrix={matrix}:out_range=tv",
            side(image.width, "iw", image.scale.map(|(across, _)| across)),
            side(image.height, "ih", image.scale.map(|(_, down)| down))
        ));
        filters.push("format=yuva420p".to_owned());
        if image.fade_in > ExactTime::ZERO || image.fade_out > ExactTime::ZERO {
            filters.push("loop=loop=-1:size=1:start=0".to_owned());
            let rate = self.rate.per_second();
            filters.push(format!("setpts=N*{}/({}*TB)", rate.den(), rate.num()));
        }
        if image.fade_in > ExactTime::ZERO {
            let (start, length) = (image.start.decimal(), image.fade_in.decimal());
            filters.push(format!("fade=t=in:st={start}:d={length}:alpha=1"));
        }
        if let Some(duration) = image.duration.filter(|_| image.fade_out > ExactTime::ZERO) {
            let (start, length) = ((image.start + duration).decimal(), image.fade_out.decimal());
            filters.push(format!("fade=t=out:st={start}:d={length}:alpha=1"));
        }
        filters.join(",")
    }

    /// Returns the filter that lays an image over the video, from its first frame to its last. The
    /// microsecond of slack absorbs floating-point error.
    fn laid_over(&self, image: &InsertedImage) -> String {
        let from = format!("gte(t+0.000001,{})", image.start.decimal());
        let shown = match image.duration {
            Some(duration) => {
                let end = image.start + duration + image.fade_out;
                format!("{from}*lt(t+0.000001,{})", end.decimal())
            }
            None => from,
        };
        let format = if self.rendition.coding.bit_depth > 8 { "yuv420p10" } else { "yuv420" };
        let pixels = self.rendition.coding.pixel_format();
        let (x, y) = (image.x, image.y);
        // A single image is repeated; an endless stream of it must end with the video.
        let fades = image.fade_in > ExactTime::ZERO || image.fade_out > ExactTime::ZERO;
        let end = if fades { "shortest=1" } else { "eof_action=repeat" };
        format!("overlay=x={x}:y={y}:format={format}:{end}:enable='{shown}',format={pixels}")
    }
}

fn hundredths(percent: u8) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// Returns the filter that draws a running timecode.
fn stamped(stamp: &TimecodeStamp) -> String {
    let across = ["w/40", "(w-text_w)/2", "w-text_w-w/40"][usize::from(stamp.column.min(2))];
    let down = [MARGIN, "(h-text_h)/2", "h-text_h-h/20"][usize::from(stamp.row.min(2))];
    // A semicolon as the last separator marks a drop-frame timecode.
    let first = match stamp.first_frame.rsplit_once(':') {
        Some((clock, frame)) if stamp.drops => format!("{clock};{frame}"),
        _ => stamp.first_frame.clone(),
    };
    let rate = stamp.rate.per_second();
    format!(
        "drawtext=expansion=none:font=Monospace:fontsize={}:fontcolor=white:borderw=1:x={across}:y={down}:timecode={}:timecode_rate={}/{}:text={}",
        stamp.pixels,
        escaped(&first),
        rate.num(),
        rate.den(),
        escaped(&stamp.prefix)
    )
}

/// Returns the filters for a colour correction. AWS does not publish how strong each level is, so the scale
/// is our own choice.
pub(crate) fn corrected(levels: ColourCorrection) -> String {
    let signed = |level: u8| i32::from(level) - 50;
    let brightness = signed(levels.brightness);
    let sign = if brightness < 0 { "-" } else { "" };
    let twice = |level: u8| format!("{}.{:02}", u32::from(level) * 2 / 100, u32::from(level) * 2 % 100);
    let mut filter = format!(
        "eq=brightness={sign}0.{:02}:contrast={}:saturation={}",
        brightness.abs(),
        twice(levels.contrast),
        twice(levels.saturation)
    );
    if levels.hue_degrees != 0 {
        filter.push_str(&format!(",hue=h={}", levels.hue_degrees));
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_double_and_brightness_is_centred() {
        let levels = ColourCorrection { brightness: 41, contrast: 100, saturation: 1, hue_degrees: -90 };
        assert_eq!(corrected(levels), "eq=brightness=-0.09:contrast=2.00:saturation=0.02,hue=h=-90");
        let neutral = ColourCorrection::NEUTRAL;
        assert_eq!(corrected(neutral), "eq=brightness=0.00:contrast=1.00:saturation=1.00");
    }

    #[test]
    fn timecode_has_right_position_and_count() {
        let stamp = TimecodeStamp {
            first_frame: "00:59:59:10".to_owned(),
            drops: true,
            rate: FrameRate::new(30000, 1001).unwrap(),
            pixels: 32,
            row: 2,
            column: 1,
            prefix: "100% ".to_owned(),
        };
        let text = stamped(&stamp);
        assert!(text.contains(r"timecode=00\\:59\\:59\;10:timecode_rate=30000/1001"), "{text}");
        assert!(text.ends_with(r"text=100%\\\ "), "{text}");
        assert!(text.contains("x=(w-text_w)/2:y=h-text_h-h/20"), "{text}");
    }
}
