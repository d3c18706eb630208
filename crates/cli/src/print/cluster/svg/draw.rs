//! A picture as SVG.

use std::fmt::Write;

use super::layout::HUES;
use super::place::{Area, Card, Crosses, Entry, Line, Part, Picture, Text};

/// A colour each, to be told apart on white and on dark blue, also by who sees red and green alike.
const COLOURS: [&str; HUES] = [
    "#2f7ff0", "#e0701a", "#12a06a", "#a45de0", "#0e9fb8", "#d84a62", "#a98600", "#d650a8",
];

const STYLE: &str = "\
text{font:600 13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#17212e}
.t{font-size:15px}.h{font-size:18px}
.n{font-weight:400}
.f{font:400 11px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#5a6778}
.e{text-anchor:end}
.back{fill:#f6f8fb}
.card{fill:#fff;stroke:#cfd8e3}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}
.under{stroke:#9aa7b6;stroke-dasharray:1 5}
.halo{paint-order:stroke;stroke:#f6f8fb;stroke-width:8px;stroke-linejoin:round}
.part{fill-opacity:.09;stroke-opacity:.55}
.alone{stroke-dasharray:4 3}
";

const DARK: &str = "\
@media (prefers-color-scheme:dark){
text{fill:#e8edf4}
.f{fill:#9fb0c3}
.back{fill:#0e1624}
.card{fill:#182335;stroke:#33435a}
.under{stroke:#64748b}
.halo{stroke:#0e1624}
.part{fill-opacity:.16}
}
";

pub fn draw(picture: &Picture) -> String {
    let Picture { width, height, .. } = picture;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n<title>Pontoon: {}</title>\n\
         <style>\n{STYLE}{}{DARK}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(&picture.heading),
        colours()
    );
    let heading = Text::new(28, 38, picture.heading.clone());
    text(&mut out, "h", &heading);
    picture.entries.iter().for_each(|one| entry(&mut out, one));
    picture
        .cards
        .iter()
        .for_each(|one| card_ground(&mut out, one.area));
    picture.lines.iter().for_each(|one| line(&mut out, one));
    for (hue, x, y) in &picture.joints {
        put(
            &mut out,
            &format!(
                "<circle class=\"d{}\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>",
                hue % HUES
            ),
        );
    }
    picture.cards.iter().for_each(|one| card(&mut out, one));
    for label in &picture.labels {
        text(&mut out, "f halo", label);
    }
    out + "</svg>\n"
}

fn colours() -> String {
    let class = |(n, colour): (usize, &&str)| {
        format!(
            ".s{n}{{stroke:{colour}}}.d{n}{{fill:{colour}}}.p{n}{{fill:{colour};stroke:{colour}}}\n"
        )
    };
    COLOURS.iter().enumerate().map(class).collect()
}

fn put(out: &mut String, element: &str) {
    out.push_str(element);
    out.push('\n');
}

fn entry(out: &mut String, entry: &Entry) {
    let (x, y) = (entry.name.x - 30, entry.name.y - 4);
    let class = entry.hue % HUES;
    put(
        out,
        &format!("<path class=\"line s{class}\" d=\"M{x} {y}h20\"/>"),
    );
    text(out, "", &entry.name);
    text(out, "f", &entry.way);
}

fn card_ground(out: &mut String, area: Area) {
    put(out, &rect("card", 10, area));
}

fn rect(class: &str, radius: u32, area: Area) -> String {
    let Area {
        x,
        y,
        width,
        height,
    } = area;
    format!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
         rx=\"{radius}\"/>"
    )
}

fn line(out: &mut String, line: &Line) {
    let class = match line.hue {
        Some(hue) => format!("s{}", hue % HUES),
        None => "under".to_owned(),
    };
    let mut path = String::new();
    for (n, (x, y)) in line.points.iter().enumerate() {
        let verb = if n == 0 { 'M' } else { 'L' };
        // Writing to a string can't fail.
        let _ = write!(path, "{verb}{x} {y}");
    }
    put(out, &format!("<path class=\"line {class}\" d=\"{path}\"/>"));
}

fn card(out: &mut String, card: &Card) {
    text(out, "t", &card.name);
    text(out, "f", &card.underlay);
    card.parts.iter().for_each(|one| part(out, one));
    if let Some(note) = &card.note {
        text(out, "f", note);
    }
}

fn part(out: &mut String, part: &Part) {
    let alone = match part.crosses {
        Crosses::Nodes => "",
        Crosses::Nothing => " alone",
    };
    put(
        out,
        &rect(&format!("part p{}{alone}", part.hue), 6, part.area),
    );
    text(out, "", &part.name);
    text(out, "f e", &part.way);
    text(out, "f", &part.subnets);
    for row in &part.rows {
        text(out, "n", &row.name);
        text(out, "f e", &row.addresses);
    }
    if let Some(note) = &part.note {
        text(out, "f", note);
    }
}

fn text(out: &mut String, class: &str, text: &Text) {
    if text.shown.is_empty() {
        return;
    }
    let Text { x, y, shown, whole } = text;
    let whole = whole
        .as_ref()
        .map(|whole| format!("<title>{}</title>", escaped(whole)));
    let class = match class {
        "" => String::new(),
        some => format!(" class=\"{some}\""),
    };
    put(
        out,
        &format!(
            "<text{class} x=\"{x}\" y=\"{y}\">{}{}</text>",
            escaped(shown),
            whole.unwrap_or_default()
        ),
    );
}

/// A text as XML has it. What XML has no way to say (control characters, XML 1.0 section 2.2)
/// becomes a sign that something was there.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            control if control.is_control() => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_text_and_nothing_else() {
        for hostile in [
            "</text><script>alert(1)</script>",
            "a & b < c > d \" e ' f",
            "]]>",
            "<!-- ",
            "&#x41;&amp;",
            "\u{0}\u{7}\u{1b}[31m\u{85}\n\r\t",
            "\u{ffff}\u{202e}\u{1f6a2}",
        ] {
            let mut picture = Picture {
                width: 100,
                height: 100,
                heading: hostile.to_owned(),
                ..Picture::default()
            };
            picture.labels.push(Text {
                whole: Some(hostile.to_owned()),
                ..Text::new(1, 1, hostile.to_owned())
            });
            let drawn = draw(&picture);
            let document = roxmltree::Document::parse(&drawn).unwrap();
            let elements = document.descendants().filter(roxmltree::Node::is_element);
            let names: Vec<&str> = elements.map(|e| e.tag_name().name()).collect();
            assert_eq!(
                names,
                ["svg", "title", "style", "rect", "text", "text", "title"],
                "{hostile:?}"
            );
            let legible = |text: &str| {
                let keep = |c: &char| !c.is_control() && *c != '\u{ffff}' && *c != '\u{fffd}';
                text.chars().filter(keep).collect::<String>()
            };
            let label = document.descendants().rfind(|e| e.has_tag_name("text"));
            let said = label.and_then(|label| label.text()).unwrap();
            assert_eq!(legible(said), legible(hostile));
        }
    }
}
