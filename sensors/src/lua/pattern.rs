//! Patterns of Lua: compiled, and matched with a stack of its own and counted steps.

use super::machine::Run;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    steps: Vec<Step>,
    /// It begins with `^`.
    at_start: bool,
    captures: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Byte(Class),
    End,
    TailEnd,
    Jump(usize),
    Split(usize, usize),
    Open(usize),
    Close(usize),
    Here(usize),
    Balanced(u8, u8),
    Again(usize),
}

#[derive(Clone, Debug)]
enum Class {
    Any,
    Byte(u8),
    /// `%a` and the like.
    Letter(u8),
    Set(bool, Vec<Self>),
    Range(u8, u8),
    Nothing,
}

/// A match: the whole first. A capture without an end is a place, from 1.
#[derive(Clone, Debug)]
pub(super) struct Match {
    pub(super) captures: Vec<(usize, Option<usize>)>,
}

impl Match {
    pub(super) fn start(&self) -> usize {
        self.captures.first().map_or(0, |whole| whole.0)
    }

    pub(super) fn end(&self) -> usize {
        self.captures.first().and_then(|whole| whole.1).unwrap_or_default()
    }
}

impl Class {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Nothing => false,
            Self::Byte(wanted) => *wanted == byte,
            Self::Range(first, last) => (*first..=*last).contains(&byte),
            Self::Set(negated, classes) => classes.iter().any(|class| class.fits(byte)) != *negated,
            Self::Letter(letter) => {
                let fits = match letter.to_ascii_lowercase() {
                    b'a' => byte.is_ascii_alphabetic(),
                    b'c' => byte.is_ascii_control(),
                    b'd' => byte.is_ascii_digit(),
                    b'l' => byte.is_ascii_lowercase(),
                    b'p' => byte.is_ascii_punctuation(),
                    b's' => matches!(byte, b' ' | 9..=13),
                    b'u' => byte.is_ascii_uppercase(),
                    b'w' => byte.is_ascii_alphanumeric(),
                    b'x' => byte.is_ascii_hexdigit(),
                    b'z' => byte == 0,
                    _ => return byte == *letter,
                };
                fits != letter.is_ascii_uppercase()
            }
        }
    }
}

struct Parser<'p> {
    text: &'p [u8],
    at: usize,
    steps: Vec<Step>,
    captures: usize,
    open: usize,
}

/// The most captures that are open at once.
const MAX_OPEN: usize = 32;

impl Pattern {
    pub(super) fn compile(text: &[u8]) -> Result<Self, String> {
        let at_start = text.first() == Some(&b'^');
        let at = usize::from(at_start);
        let mut parser = Parser { text, at, steps: Vec::new(), captures: 1, open: 0 };
        let tail = parser.sequence()?;
        if parser.at < text.len() {
            return Err("invalid ')'".to_owned());
        }
        parser.steps.push(if tail { Step::TailEnd } else { Step::End });
        Ok(Self { steps: parser.steps, at_start, captures: parser.captures })
    }

    /// The matches from a place on, at most so many. `charge` is told of steps.
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        most: usize,
        charge: &mut dyn FnMut(usize) -> Run,
    ) -> Run<Result<Vec<Match>, String>> {
        let mut found = Vec::new();
        let mut at = from;
        while at <= text.len() {
            let matched = match self.at(text, at, charge)? {
                Ok(matched) => matched,
                Err(message) => return Ok(Err(message)),
            };
            at += 1;
            if let Some(matched) = matched {
                charge(8 * self.captures)?;
                at = at.max(matched.end());
                found.push(matched);
            }
            if found.len() >= most || self.at_start {
                break;
            }
        }
        Ok(Ok(found))
    }

    fn at(
        &self,
        text: &[u8],
        start: usize,
        charge: &mut dyn FnMut(usize) -> Run,
    ) -> Run<Result<Option<Match>, String>> {
        let mut captures = vec![(start, None); self.captures];
        // Where to go on when it does not fit, and what the captures were then.
        let mut back: Vec<(usize, usize, usize)> = Vec::new();
        let mut undo: Vec<(usize, (usize, Option<usize>))> = Vec::new();
        let (mut step, mut at) = (0, start);
        loop {
            charge(1)?;
            let fits = match &self.steps[step] {
                Step::Byte(class) => {
                    text.get(at).is_some_and(|byte| class.fits(*byte)) && {
                        at += 1;
                        step += 1;
                        true
                    }
                }
                Step::End => {
                    captures[0] = (start, Some(at));
                    return Ok(Ok(Some(Match { captures })));
                }
                Step::TailEnd => {
                    at >= text.len() && {
                        captures[0] = (start, Some(at));
                        return Ok(Ok(Some(Match { captures })));
                    }
                }
                Step::Jump(place) => {
                    step = *place;
                    true
                }
                Step::Split(first, second) => {
                    charge(2)?;
                    back.push((*second, at, undo.len()));
                    step = *first;
                    true
                }
                Step::Open(number) => {
                    undo.push((*number, captures[*number]));
                    captures[*number] = (at, None);
                    step += 1;
                    true
                }
                Step::Close(number) => {
                    undo.push((*number, captures[*number]));
                    captures[*number].1 = Some(at);
                    step += 1;
                    true
                }
                Step::Here(number) => {
                    undo.push((*number, captures[*number]));
                    captures[*number] = (at + 1, None);
                    step += 1;
                    true
                }
                Step::Balanced(open, close) => match balanced(text, at, *open, *close, charge)? {
                    Some(end) => {
                        at = end;
                        step += 1;
                        true
                    }
                    None => false,
                },
                Step::Again(number) => {
                    let Some((from, Some(to))) = captures.get(*number).copied() else {
                        return Ok(Err("invalid capture index".to_owned()));
                    };
                    let part = &text[from..to];
                    charge(part.len() / 8)?;
                    text[at..].starts_with(part) && {
                        at += part.len();
                        step += 1;
                        true
                    }
                }
            };
            if fits {
                continue;
            }
            let Some((place, before, undone)) = back.pop() else { return Ok(Ok(None)) };
            (step, at) = (place, before);
            while undo.len() > undone {
                if let Some((number, capture)) = undo.pop() {
                    captures[number] = capture;
                }
            }
        }
    }
}

/// The end of what begins with `open` and has as many of both.
fn balanced(
    text: &[u8],
    at: usize,
    open: u8,
    close: u8,
    charge: &mut dyn FnMut(usize) -> Run,
) -> Run<Option<usize>> {
    if text.get(at) != Some(&open) {
        return Ok(None);
    }
    let mut count = 1;
    for (place, byte) in text.iter().enumerate().skip(at + 1) {
        if (place - at).is_multiple_of(8) {
            charge(1)?;
        }
        if *byte == close {
            count -= 1;
        }
        if count == 0 {
            return Ok(Some(place + 1));
        }
        if *byte == open {
            count += 1;
        }
    }
    Ok(None)
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    /// Up to the end or a `)`; true where it ends with `$`.
    fn sequence(&mut self) -> Result<bool, String> {
        loop {
            let Some(byte) = self.peek() else { return Ok(false) };
            match byte {
                b')' => return Ok(false),
                b'(' => self.capture()?,
                b'$' if self.open == 0 && self.at + 1 == self.text.len() => {
                    self.at += 1;
                    return Ok(true);
                }
                b'%' => match self.text.get(self.at + 1).copied() {
                    Some(b'0') => return Err("invalid capture index".to_owned()),
                    Some(digit @ b'1'..=b'9') => {
                        self.at += 2;
                        self.steps.push(Step::Again(usize::from(digit - b'0')));
                    }
                    Some(b'b') => {
                        self.at += 2;
                        match (self.next(), self.next()) {
                            (Some(open), Some(close)) => {
                                self.steps.push(Step::Balanced(open, close));
                            }
                            _ => return Err("unexpected EOS".to_owned()),
                        }
                    }
                    _ => self.single()?,
                },
                _ => self.single()?,
            }
        }
    }

    fn capture(&mut self) -> Result<(), String> {
        self.at += 1;
        let number = self.captures;
        self.captures += 1;
        if self.peek() == Some(b')') {
            self.at += 1;
            self.steps.push(Step::Here(number));
            return Ok(());
        }
        self.open += 1;
        if self.open > MAX_OPEN {
            return Err(format!("more than {MAX_OPEN} captures are open"));
        }
        self.steps.push(Step::Open(number));
        self.sequence()?;
        if self.next() != Some(b')') {
            return Err("unfinished capture".to_owned());
        }
        self.steps.push(Step::Close(number));
        self.open -= 1;
        Ok(())
    }

    /// A class, and how often it stands.
    fn single(&mut self) -> Result<(), String> {
        let class = self.class(true)?;
        let start = self.steps.len();
        match self.peek() {
            Some(b'*') => self.steps.extend([
                Step::Split(start + 1, start + 3),
                Step::Byte(class),
                Step::Jump(start),
            ]),
            Some(b'+') => {
                self.steps.extend([Step::Byte(class), Step::Split(start, start + 2)]);
            }
            Some(b'-') => self.steps.extend([
                Step::Split(start + 3, start + 1),
                Step::Byte(class),
                Step::Jump(start),
            ]),
            Some(b'?') => {
                self.steps.extend([Step::Split(start + 1, start + 2), Step::Byte(class)]);
            }
            _ => {
                self.steps.push(Step::Byte(class));
                return Ok(());
            }
        }
        self.at += 1;
        Ok(())
    }

    fn class(&mut self, outside: bool) -> Result<Class, String> {
        match self.next() {
            Some(b'%') => Ok(self.next().map_or(Class::Nothing, Class::Letter)),
            Some(b'.') if outside => Ok(Class::Any),
            Some(b'[') if outside => self.set(),
            Some(byte) => Ok(Class::Byte(byte)),
            None => Err("unexpected EOS".to_owned()),
        }
    }

    fn set(&mut self) -> Result<Class, String> {
        let negated = self.peek() == Some(b'^');
        self.at += usize::from(negated);
        let mut classes = Vec::new();
        let mut range = false;
        loop {
            match self.peek() {
                None => return Err("unexpected EOS".to_owned()),
                Some(b']') if !classes.is_empty() => {
                    self.at += 1;
                    break;
                }
                Some(b'-') if !classes.is_empty() => {
                    self.at += 1;
                    range = true;
                    continue;
                }
                _ => classes.push(self.class(false)?),
            }
            if range {
                let (last, first) = (classes.pop(), classes.pop());
                classes.push(match (first, last) {
                    (Some(Class::Byte(first)), Some(Class::Byte(last))) => {
                        Class::Range(first, last)
                    }
                    _ => Class::Nothing,
                });
                range = false;
            }
        }
        if range {
            classes.push(Class::Byte(b'-'));
        }
        Ok(Class::Set(negated, classes))
    }
}
