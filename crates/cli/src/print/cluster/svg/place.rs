//! The shapes of a picture, in whole pixels: the same everywhere.

/// How far a letter goes, in tenths of a pixel, at the size it has in its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Names of nodes.
    Title,
    /// Other names.
    Name,
    /// Addresses.
    Fixed,
}

impl Face {
    fn advance(self) -> u32 {
        match self {
            Self::Title => 96,
            Self::Name => 84,
            Self::Fixed => 67,
        }
    }

    /// The width of a text. Letters of a name differ in width: it is an estimate, on the safe side.
    pub fn width(self, text: &str) -> u32 {
        let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        letters.saturating_mul(self.advance()).div_ceil(10)
    }
}

/// A text where it is, shortened where it had no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub x: u32,
    pub y: u32,
    pub shown: String,
    /// The whole, where that is longer.
    pub whole: Option<String>,
}

impl Text {
    pub fn new(x: u32, y: u32, text: String) -> Self {
        Self {
            x,
            y,
            shown: text,
            whole: None,
        }
    }

    /// A text that ends with `…` where it is wider than there is room.
    pub fn fitted(x: u32, y: u32, text: String, face: Face, room: u32) -> Self {
        if face.width(&text) <= room {
            return Self::new(x, y, text);
        }
        let letters = (room * 10 / face.advance()).saturating_sub(1);
        let letters = usize::try_from(letters).unwrap_or_default();
        let shown: String = text.chars().take(letters).collect();
        Self {
            x,
            y,
            shown: shown + "…",
            whole: Some(text),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Area {
    #[cfg(test)]
    pub fn right(&self) -> u32 {
        self.x + self.width
    }

    pub fn bottom(&self) -> u32 {
        self.y + self.height
    }

    #[cfg(test)]
    pub fn meets(&self, other: &Self) -> bool {
        self.x < other.right()
            && other.x < self.right()
            && self.y < other.bottom()
            && other.y < self.bottom()
    }
}

/// A line with corners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// None for the underlay's.
    pub hue: Option<usize>,
    pub points: Vec<(u32, u32)>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: Text,
    /// Its end is at `x`.
    pub addresses: Text,
}

/// A node's part of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub area: Area,
    pub hue: usize,
    pub crosses: Crosses,
    pub name: Text,
    pub way: Text,
    pub subnets: Text,
    pub rows: Vec<Row>,
    pub note: Option<Text>,
}

/// Whether a network reaches other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crosses {
    Nodes,
    Nothing,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub area: Area,
    pub name: Text,
    pub underlay: Text,
    pub parts: Vec<Part>,
    pub note: Option<Text>,
}

/// A network over all nodes and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub hue: usize,
    pub name: Text,
    pub way: Text,
}

#[derive(Debug, Default)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub heading: String,
    pub entries: Vec<Entry>,
    pub cards: Vec<Card>,
    pub lines: Vec<Line>,
    /// Where a branch leaves a rail.
    pub joints: Vec<(usize, u32, u32)>,
    pub labels: Vec<Text>,
}
