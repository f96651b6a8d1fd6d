//! From PCRE's dialect, which MongoDB speaks, to that of `fancy-regex`.
//!
//! They differ in what classes such as `\w` hold (PCRE: ASCII), in `$` (also before a last line
//! feed), in brackets inside classes, in braces that count nothing, in `x`, and in a few escapes.

use crate::{Error, Result};

/// What stands for `\b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundaries {
    /// The engine's own: fast, and right for ASCII text.
    Unicode,
    /// Look-around for ASCII words: right for any text.
    Ascii,
}

const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = "\\t\\n\\x0b\\x0c\\r ";
const HORIZONTAL: &str =
    "\\t \\x{a0}\\x{1680}\\x{180e}\\x{2000}-\\x{200a}\\x{202f}\\x{205f}\\x{3000}";
const VERTICAL: &str = "\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}";
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];
/// Highest count of a quantifier in PCRE.
const COUNT_MAX: u32 = 65_535;

/// The expression in the other dialect. Of the options only `m` and `x` are looked at.
pub(super) fn translate(pattern: &str, options: &str, boundaries: Boundaries) -> Result<String> {
    let chars: Vec<char> = pattern.chars().collect();
    let flags = Flags {
        multi: options.contains('m'),
        extended: options.contains('x'),
    };
    // The first pass counts the groups, which tells references from octal numbers.
    let mut counting = Translator::new(&chars, flags, boundaries, usize::MAX);
    counting.run()?;
    let groups = counting.opened;
    let mut translator = Translator::new(&chars, flags, boundaries, groups);
    translator.run()?;
    Ok(translator.out)
}

#[derive(Debug, Clone, Copy)]
struct Flags {
    multi: bool,
    extended: bool,
}

/// What a quantifier would apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Item,
    Quantifier,
}

/// A group that is still open.
#[derive(Debug)]
struct Group {
    /// Flags outside it.
    flags: Flags,
    /// Where a look-around begins in the output.
    look: Option<usize>,
    /// Whether its length must be fixed: it is in a look-behind.
    fixed: bool,
}

struct Translator<'a> {
    chars: &'a [char],
    at: usize,
    out: String,
    flags: Flags,
    outer: Vec<Group>,
    last: Last,
    /// Where a look-around that just closed begins in `out`.
    look: Option<usize>,
    names: Vec<String>,
    boundaries: Boundaries,
    groups: usize,
    opened: usize,
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("the regular expression is invalid: {what}"))
}

/// A character that stands for itself.
fn literal(out: &mut String, char: char) {
    if char.is_alphanumeric() || (!char.is_ascii() && !char.is_whitespace()) {
        out.push(char);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(char)));
    }
}

impl<'a> Translator<'a> {
    fn new(chars: &'a [char], flags: Flags, boundaries: Boundaries, groups: usize) -> Self {
        let (out, outer, names) = (String::new(), Vec::new(), Vec::new());
        Self {
            chars,
            at: 0,
            out,
            flags,
            outer,
            last: Last::Nothing,
            look: None,
            names,
            boundaries,
            groups,
            opened: 0,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn looking_at(&self, text: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        text.chars()
            .enumerate()
            .all(|(at, char)| rest.get(at) == Some(&char))
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// What comes before `end`, which is passed over.
    fn until(&mut self, end: char, missing: &str) -> Result<String> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|it| *it == end)
            .ok_or_else(|| invalid(missing))?;
        self.at += length + 1;
        Ok(rest.iter().take(length).collect())
    }

    fn item(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Item;
    }

    fn assertion(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Nothing;
    }

    fn run(&mut self) -> Result<()> {
        // Switches that only say how text is encoded and where lines end.
        while [
            "(*UTF8)",
            "(*UTF)",
            "(*UCP)",
            "(*ANY)",
            "(*ANYCRLF)",
            "(*LF)",
        ]
        .iter()
        .any(|verb| self.take(verb))
        {}
        while let Some(char) = self.peek() {
            self.at += 1;
            self.token(char)?;
        }
        if self.outer.is_empty() {
            Ok(())
        } else {
            Err(invalid("missing )"))
        }
    }

    fn token(&mut self, char: char) -> Result<()> {
        let look = self.look.take();
        match char {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.open()?,
            ')' => {
                let group = self.outer.pop().ok_or_else(|| invalid("unmatched )"))?;
                self.flags = group.flags;
                self.item(")");
                self.look = group.look;
            }
            '|' => self.assertion("|"),
            '^' => self.line_start(),
            '$' => self.line_end(),
            '.' => self.item("."),
            '*' | '+' | '?' => self.quantifier(&char.to_string(), look)?,
            '{' => match self.counts() {
                Some(counts) => self.quantifier(&counts?, look)?,
                None => self.item("\\{"),
            },
            _ if self.flags.extended && " \t\n\r\x0b\x0c".contains(char) => {}
            '#' if self.flags.extended => {
                self.until('\n', "a comment runs to the end")?;
            }
            char => {
                literal(&mut self.out, char);
                self.last = Last::Item;
            }
        }
        Ok(())
    }

    fn line_start(&mut self) {
        if !self.flags.multi {
            return self.assertion("\\A");
        }
        // PCRE has no line behind a last line feed. What must match a character says so anyway.
        let next = (self.peek(), self.chars.get(self.at + 1));
        let plain = matches!(next, (Some(it), after) if it.is_alphanumeric()
            && !after.is_some_and(|it| "*?{|".contains(*it)));
        self.assertion(if plain {
            "(?m:^)"
        } else {
            "(?:\\A|(?<=\\n)(?!\\z))"
        });
    }

    fn line_end(&mut self) {
        let last = self.outer.is_empty() && matches!(self.peek(), None | Some('|'));
        self.assertion(match (self.flags.multi, last) {
            (true, _) => "(?m:$)",
            // Nothing follows, so the line feed may as well be taken; look-ahead is slower.
            (false, true) => "\\n?\\z",
            (false, false) => "(?=\\n?\\z)",
        });
    }

    /// `look` is where the look-around begins that it applies to.
    fn quantifier(&mut self, text: &str, look: Option<usize>) -> Result<()> {
        if self.last != Last::Item {
            return Err(invalid("nothing to repeat"));
        }
        let counted = text.starts_with('{') && !text.contains(',');
        if !counted && self.outer.iter().any(|group| group.fixed) {
            return Err(invalid("lookbehind assertion is not fixed length"));
        }
        if let Some(start) = look {
            // The engine does not repeat a look-around; once, or not at all, is as good.
            if matches!(text, "*" | "?") || text.starts_with("{0") {
                self.out.insert_str(start, "(?:");
                self.out.push_str("|)");
            }
            self.last = Last::Quantifier;
            return Ok(());
        }
        self.out.push_str(text);
        self.last = Last::Quantifier;
        if let Some(mode @ ('?' | '+')) = self.peek() {
            self.at += 1;
            self.out.push(mode);
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,3}` behind its brace; none when the brace stands for itself.
    fn counts(&mut self) -> Option<Result<String>> {
        let rest = self.chars.get(self.at..)?;
        let length = rest.iter().position(|it| *it == '}')?;
        let text: String = rest.iter().take(length).collect();
        let (least, most) = text.split_once(',').unwrap_or((&text, &text));
        let digits = |it: &str| it.chars().all(|digit| digit.is_ascii_digit());
        if least.is_empty() || !digits(least) || !digits(most) {
            return None;
        }
        self.at += length + 1;
        let count = |it: &str| it.parse::<u32>().ok().filter(|count| *count <= COUNT_MAX);
        let ordered = match (count(least), count(most)) {
            (Some(least), Some(most)) => least <= most,
            (Some(_), None) => most.is_empty(),
            (None, _) => false,
        };
        Some(if ordered {
            Ok(format!("{{{text}}}"))
        } else {
            Err(invalid("numbers in {}"))
        })
    }

    fn open(&mut self) -> Result<()> {
        if self.peek() == Some('*') {
            return Err(invalid("verbs such as (*ACCEPT) are not supported"));
        }
        if !self.take("?") {
            return self.group("(", true);
        }
        for plain in [":", "=", "!", ">", "<=", "<!"] {
            if self.take(plain) {
                return self.group(&format!("(?{plain}"), false);
            }
        }
        if self.take("|") {
            return Err(Error::unsupported(
                "branch reset groups, (?|, are not supported",
            ));
        }
        if self.take("#") {
            return self.until(')', "missing ) behind a comment").map(|_| ());
        }
        for (start, end) in [("P<", '>'), ("<", '>'), ("'", '\'')] {
            if self.take(start) {
                let name = self.until(end, "missing end of a name")?;
                if self.names.contains(&name) {
                    return Err(invalid("two named subpatterns have the same name"));
                }
                self.names.push(name.clone());
                return self.group(&format!("(?<{name}>"), true);
            }
        }
        if self.take("P=") {
            let name = self.until(')', "missing )")?;
            self.item(&format!("(?:\\k<{name}>)"));
            return Ok(());
        }
        if self.take("P>") || self.take("&") {
            let name = self.until(')', "missing )")?;
            self.item(&format!("\\g<{name}>"));
            return Ok(());
        }
        if self.take("(") {
            let condition = self.until(')', "missing )")?;
            if condition
                .parse::<usize>()
                .is_ok_and(|group| group == 0 || group > self.groups)
            {
                return Err(invalid("reference to a group that does not exist"));
            }
            return self.group(&format!("(?({condition})"), false);
        }
        self.call_or_flags()
    }

    fn group(&mut self, text: &str, captures: bool) -> Result<()> {
        self.opened += usize::from(captures);
        let look = ["(?=", "(?!", "(?<=", "(?<!"]
            .contains(&text)
            .then_some(self.out.len());
        let ahead = text == "(?=" || text == "(?!";
        let fixed = look.is_some() && !ahead;
        self.outer.push(Group {
            flags: self.flags,
            look,
            fixed,
        });
        self.assertion(text);
        Ok(())
    }

    /// `(?1)`, `(?R)`, `(?i)`, `(?i-s:`.
    fn call_or_flags(&mut self) -> Result<()> {
        let start = self.at;
        let whole = matches!(self.peek(), Some('R'));
        let number = self.chars.get(start..).unwrap_or_default().iter();
        let number: String = number.take_while(|it| it.is_ascii_digit()).collect();
        if whole || !number.is_empty() {
            self.at += number.len().max(1);
            let number = if whole { "0" } else { &number };
            self.item(&format!("\\g<{number}>"));
            return if self.take(")") {
                Ok(())
            } else {
                Err(invalid("missing )"))
            };
        }
        let (mut on, mut off, mut negative) = (String::new(), String::new(), false);
        let mut flags = self.flags;
        loop {
            let flag = self.peek().ok_or_else(|| invalid("missing )"))?;
            self.at += 1;
            match flag {
                'm' => flags.multi = !negative,
                'x' => flags.extended = !negative,
                'i' | 's' | 'U' => if negative { &mut off } else { &mut on }.push(flag),
                '-' if !negative => negative = true,
                ')' => {
                    if !on.is_empty() || !off.is_empty() {
                        let off = if off.is_empty() {
                            off
                        } else {
                            format!("-{off}")
                        };
                        self.out.push_str(&format!("(?{on}{off})"));
                    }
                    self.flags = flags;
                    self.last = Last::Nothing;
                    return Ok(());
                }
                ':' => {
                    let off = if off.is_empty() {
                        off
                    } else {
                        format!("-{off}")
                    };
                    self.group(&format!("(?{on}{off}:"), false)?;
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(invalid("unrecognized character after (?")),
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        let char = self.peek().ok_or_else(|| invalid("\\ at end of pattern"))?;
        self.at += 1;
        if let Some(class) = shorthand(char) {
            self.item(&class);
            return Ok(());
        }
        match char {
            'b' | 'B' => {
                let text = self.boundary(char == 'B');
                self.assertion(&text);
            }
            'A' | 'G' => self.assertion("\\A"),
            'z' => self.assertion("\\z"),
            'Z' => self.assertion("(?=\\n?\\z)"),
            'K' => self.assertion(""),
            'N' if self.peek() != Some('{') => self.item("[^\\n]"),
            'R' => self.item("(?>\\r\\n|[\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}])"),
            'X' => self.item("(?>\\P{M}\\p{M}*|\\p{M}+)"),
            'p' | 'P' => {
                let property = self.property(char)?;
                self.item(&property);
            }
            'Q' => {
                for char in self.quoted()? {
                    literal(&mut self.out, char);
                    self.last = Last::Item;
                }
            }
            'E' => {}
            'k' | 'g' => self.reference(char)?,
            '1'..='9' => self.number(char)?,
            _ => {
                let char = self.escaped_char(char)?;
                literal(&mut self.out, char);
                self.last = Last::Item;
            }
        }
        Ok(())
    }

    fn boundary(&self, negative: bool) -> String {
        match (self.boundaries, negative) {
            (Boundaries::Unicode, false) => "\\b".to_owned(),
            (Boundaries::Unicode, true) => "\\B".to_owned(),
            (Boundaries::Ascii, false) => {
                format!("(?:(?<=[{WORD}])(?![{WORD}])|(?<![{WORD}])(?=[{WORD}]))")
            }
            (Boundaries::Ascii, true) => {
                format!("(?:(?<=[{WORD}])(?=[{WORD}])|(?<![{WORD}])(?![{WORD}]))")
            }
        }
    }

    /// What lies between `\Q` and `\E`.
    fn quoted(&mut self) -> Result<Vec<char>> {
        let start = self.at;
        while self.peek().is_some() {
            if self.looking_at("\\E") {
                let text = self.chars.get(start..self.at).unwrap_or_default().to_vec();
                self.at += 2;
                return Ok(text);
            }
            self.at += 1;
        }
        Err(invalid("missing \\E"))
    }

    fn property(&mut self, kind: char) -> Result<String> {
        if !self.take("{") {
            let name = self
                .peek()
                .ok_or_else(|| invalid("malformed \\P or \\p sequence"))?;
            self.at += 1;
            return Ok(format!("\\{kind}{name}"));
        }
        let name = self.until('}', "malformed \\P or \\p sequence")?;
        let (kind, name) = match name.strip_prefix('^') {
            Some(name) => (if kind == 'p' { 'P' } else { 'p' }, name.to_owned()),
            None => (kind, name),
        };
        let name = if name == "L&" { "LC".to_owned() } else { name };
        Ok(format!("\\{kind}{{{name}}}"))
    }

    fn reference(&mut self, kind: char) -> Result<()> {
        let brackets = [("{", '}'), ("<", '>'), ("'", '\'')];
        let bracket = brackets.into_iter().find(|(start, _)| self.take(start));
        let name = match bracket {
            Some((_, end)) => self.until(end, "missing end of a reference")?,
            None => {
                let rest = self.chars.get(self.at..).unwrap_or_default().iter();
                let digits: String = rest.take_while(|it| it.is_ascii_digit()).collect();
                self.at += digits.len();
                digits
            }
        };
        if kind == 'g' && matches!(bracket, Some(("<" | "'", _))) {
            self.item(&format!("\\g<{name}>"));
            return Ok(());
        }
        if let Some(back) = name
            .strip_prefix('-')
            .and_then(|it| it.parse::<usize>().ok())
        {
            let group = (self.opened + 1)
                .checked_sub(back)
                .filter(|group| *group > 0);
            return self.backreference(group.ok_or_else(|| invalid("no such group"))?);
        }
        match name.parse::<usize>() {
            Ok(group) => self.backreference(group)?,
            Err(_) if name.is_empty() => return Err(invalid("a reference without a name")),
            Err(_) => self.item(&format!("(?:\\k<{name}>)")),
        }
        Ok(())
    }

    fn backreference(&mut self, group: usize) -> Result<()> {
        if group == 0 || group > self.groups {
            return Err(invalid("reference to a group that does not exist"));
        }
        // While groups are only counted, any number goes.
        self.item(&format!("(?:\\{group})"));
        Ok(())
    }

    /// A reference; from 10 on, when there are not that many groups, an octal number.
    fn number(&mut self, first: char) -> Result<()> {
        let rest = self.chars.get(self.at..).unwrap_or_default().iter();
        let more: String = rest.take_while(|it| it.is_ascii_digit()).collect();
        let group = format!("{first}{more}")
            .parse::<usize>()
            .unwrap_or(usize::MAX - 1);
        if group < 10 || group <= self.groups {
            self.at += more.len();
            return self.backreference(group);
        }
        if first >= '8' {
            literal(&mut self.out, first);
        } else {
            let char = self.octal(first, 3)?;
            literal(&mut self.out, char);
        }
        self.last = Last::Item;
        Ok(())
    }

    /// Up to `digits` octal digits, the first one of them read already.
    fn octal(&mut self, first: char, digits: usize) -> Result<char> {
        let rest = self.chars.get(self.at..).unwrap_or_default().iter();
        let more = rest
            .take(digits - 1)
            .take_while(|it| ('0'..='7').contains(*it));
        let text: String = std::iter::once(first).chain(more.copied()).collect();
        self.at += text.len() - 1;
        code_point(&text, 8)
    }

    /// An escape that stands for one character.
    fn escaped_char(&mut self, char: char) -> Result<char> {
        Ok(match char {
            'a' => '\x07',
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => self.octal('0', 3)?,
            'o' if self.take("{") => code_point(&self.until('}', "missing } behind \\o")?, 8)?,
            'x' if self.take("{") => code_point(&self.until('}', "missing } behind \\x")?, 16)?,
            'x' => {
                let rest = self.chars.get(self.at..).unwrap_or_default().iter();
                let digits: String = rest
                    .take(2)
                    .take_while(|it| it.is_ascii_hexdigit())
                    .collect();
                self.at += digits.len();
                code_point(if digits.is_empty() { "0" } else { &digits }, 16)?
            }
            'c' => {
                let char = self.peek().filter(char::is_ascii);
                let char = char.ok_or_else(|| invalid("\\c without a letter"))?;
                self.at += 1;
                char::from(char.to_ascii_uppercase() as u8 ^ 64)
            }
            char if char.is_ascii_alphabetic() && "CLNUlu".contains(char) => {
                return Err(invalid("this escape is not supported"));
            }
            char => char,
        })
    }

    fn class(&mut self) -> Result<()> {
        const MISSING: &str = "missing ] of a character class";
        let mut out = String::from(if self.take("^") { "[^" } else { "[" });
        let mut first = true;
        loop {
            let char = self.peek().ok_or_else(|| invalid(MISSING))?;
            self.at += 1;
            if char == ']' && !first {
                break;
            }
            first = false;
            match self.class_item(char)? {
                ClassItem::Set(set) => out.push_str(&set),
                ClassItem::Nothing => {}
                ClassItem::Char(low) => self.class_range(low, &mut out)?,
            }
        }
        out.push(']');
        self.item(&out);
        Ok(())
    }

    fn class_range(&mut self, low: char, out: &mut String) -> Result<()> {
        class_char(out, low);
        let open = self.peek() == Some('-') && self.chars.get(self.at + 1) != Some(&']');
        let Some(end) = self.chars.get(self.at + 1).copied().filter(|_| open) else {
            return Ok(());
        };
        self.at += 2;
        match self.class_item(end)? {
            ClassItem::Char(high) if high < low => Err(invalid("range out of order in a class")),
            ClassItem::Char(high) => {
                out.push('-');
                class_char(out, high);
                Ok(())
            }
            _ => Err(invalid("invalid range in a class")),
        }
    }

    fn class_item(&mut self, char: char) -> Result<ClassItem> {
        match char {
            '[' if self.looking_at(":") => self.posix(),
            '[' if self.looking_at(".") || self.looking_at("=") => {
                Err(invalid("collating elements are not supported"))
            }
            '\\' => self.class_escape(),
            char => Ok(ClassItem::Char(char)),
        }
    }

    /// `[:alpha:]`; a bracket with no such end stands for itself.
    fn posix(&mut self) -> Result<ClassItem> {
        let rest = self.chars.get(self.at + 1..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|it| it.is_ascii_lowercase() || **it == '^')
            .count();
        if rest.get(length) != Some(&':') || rest.get(length + 1) != Some(&']') {
            return Ok(ClassItem::Char('['));
        }
        let name: String = rest.iter().take(length).collect();
        self.at += length + 3;
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(&name)) {
            return Err(invalid("unknown POSIX class name"));
        }
        Ok(ClassItem::Set(format!("[:{name}:]")))
    }

    fn class_escape(&mut self) -> Result<ClassItem> {
        let char = self.peek().ok_or_else(|| invalid("\\ at end of pattern"))?;
        self.at += 1;
        if let Some(set) = shorthand(char) {
            return Ok(ClassItem::Set(set));
        }
        match char {
            'b' => Ok(ClassItem::Char('\x08')),
            'p' | 'P' => self.property(char).map(ClassItem::Set),
            'B' | 'R' | 'X' => Err(invalid("escape sequence is invalid in a class")),
            'E' => Ok(ClassItem::Nothing),
            'Q' => {
                let mut set = String::new();
                self.quoted()?
                    .into_iter()
                    .for_each(|char| class_char(&mut set, char));
                Ok(ClassItem::Set(set))
            }
            '1'..='7' => self.octal(char, 3).map(ClassItem::Char),
            char => self.escaped_char(char).map(ClassItem::Char),
        }
    }
}

enum ClassItem {
    Char(char),
    Set(String),
    Nothing,
}

fn class_char(out: &mut String, char: char) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(char)));
}

/// `\d` and its kin: of ASCII only.
fn shorthand(char: char) -> Option<String> {
    let members = match char.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => WORD,
        's' => SPACE,
        'h' => HORIZONTAL,
        'v' => VERTICAL,
        _ => return None,
    };
    let not = if char.is_ascii_uppercase() { "^" } else { "" };
    Some(format!("[{not}{members}]"))
}

fn code_point(digits: &str, radix: u32) -> Result<char> {
    let code = u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32);
    code.ok_or_else(|| invalid("character value is out of range"))
}
