//! Decimal numbers, so that 0.1 and 0.2 make 0.3.

/// `digits * 10^exponent`; a float where it would not fit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decimal {
    Exact { digits: i128, exponent: i32 },
    Float(f64),
}

/// How many decimal places a division has.
const DIVISION_PLACES: i32 = 16;

impl Decimal {
    /// The shortest decimal that reads back as `value`.
    pub(super) fn new(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            return Err(format!("{value} is no decimal number"));
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len());
        let digits = mantissa.replace('.', "").parse();
        let exponent = exponent.parse::<i32>().ok().zip(i32::try_from(places).ok());
        match (digits, exponent) {
            (Ok(digits), Some((exponent, places))) => {
                Ok(Self::Exact { digits, exponent: exponent - places })
            }
            _ => Ok(Self::Float(value)),
        }
    }

    pub(super) fn to_float(self) -> f64 {
        match self {
            Self::Exact { digits, exponent } => {
                format!("{digits}e{exponent}").parse().unwrap_or(f64::NAN)
            }
            Self::Float(value) => value,
        }
    }

    /// The digits of two numbers with the same exponent.
    fn align(self, other: Self) -> Option<(i128, i128, i32)> {
        let (
            Self::Exact { digits: left, exponent: of_left },
            Self::Exact { digits: right, exponent: of_right },
        ) = (self, other)
        else {
            return None;
        };
        let exponent = of_left.min(of_right);
        Some((shift(left, of_left - exponent)?, shift(right, of_right - exponent)?, exponent))
    }

    #[expect(clippy::unnecessary_wraps, reason = "all operations have one type")]
    pub(super) fn add(self, other: Self) -> Result<Self, String> {
        let exact = self.align(other).and_then(|(left, right, exponent)| {
            Some(Self::Exact { digits: left.checked_add(right)?, exponent })
        });
        Ok(exact.unwrap_or_else(|| Self::Float(self.to_float() + other.to_float())))
    }

    #[expect(clippy::unnecessary_wraps, reason = "all operations have one type")]
    pub(super) fn subtract(self, other: Self) -> Result<Self, String> {
        let exact = self.align(other).and_then(|(left, right, exponent)| {
            Some(Self::Exact { digits: left.checked_sub(right)?, exponent })
        });
        Ok(exact.unwrap_or_else(|| Self::Float(self.to_float() - other.to_float())))
    }

    #[expect(clippy::unnecessary_wraps, reason = "all operations have one type")]
    pub(super) fn multiply(self, other: Self) -> Result<Self, String> {
        let exact = match (self, other) {
            (
                Self::Exact { digits: left, exponent: of_left },
                Self::Exact { digits: right, exponent: of_right },
            ) => left
                .checked_mul(right)
                .map(|digits| Self::Exact { digits, exponent: of_left + of_right }),
            _ => None,
        };
        Ok(exact.unwrap_or_else(|| Self::Float(self.to_float() * other.to_float())))
    }

    pub(super) fn divide(self, other: Self) -> Result<Self, String> {
        if other.to_float() == 0.0 {
            return Err("a division by zero".to_owned());
        }
        let exact = match (self, other) {
            (
                Self::Exact { digits: left, exponent: of_left },
                Self::Exact { digits: right, exponent: of_right },
            ) => quotient(left, right, of_left - of_right + DIVISION_PLACES),
            _ => None,
        };
        Ok(exact.unwrap_or_else(|| Self::Float(self.to_float() / other.to_float())))
    }
}

fn shift(digits: i128, places: i32) -> Option<i128> {
    if digits == 0 {
        return Some(0);
    }
    digits.checked_mul(10_i128.checked_pow(u32::try_from(places).ok()?)?)
}

/// `left * 10^places / right`, rounded half away from zero.
fn quotient(left: i128, right: i128, places: i32) -> Option<Decimal> {
    let (left, right) =
        if places >= 0 { (shift(left, places)?, right) } else { (left, shift(right, -places)?) };
    let (mut digits, rest) = (left / right, left % right);
    if rest.unsigned_abs() * 2 >= right.unsigned_abs() {
        digits += if (left < 0) == (right < 0) { 1 } else { -1 };
    }
    Some(Decimal::Exact { digits, exponent: -DIVISION_PLACES })
}
