//! What came of numbered lines: each once, and in order?

/// The lines of one replica, numbered from 1.
pub(super) struct Tally {
    seen: Vec<bool>,
    last: usize,
    twice: u64,
    out_of_order: u64,
}

impl Tally {
    pub(super) fn of(lines: usize) -> Self {
        Self { seen: vec![false; lines], last: 0, twice: 0, out_of_order: 0 }
    }

    /// Takes note of a line; what is not of the kind that is counted is skipped. Whether it was.
    pub(super) fn take(&mut self, text: &[u8]) -> bool {
        let Some(number) = number(text).filter(|number| (1..=self.seen.len()).contains(number)) else {
            return false;
        };
        if std::mem::replace(&mut self.seen[number - 1], true) {
            self.twice += 1;
        }
        self.out_of_order += u64::from(number < self.last);
        self.last = self.last.max(number);
        true
    }

    /// Whether the last of them came: nothing comes after it.
    pub(super) fn is_over(&self) -> bool {
        self.seen.last() == Some(&true)
    }

    /// Adds up what is wrong with several replicas.
    pub(super) fn sum(tallies: &[Self]) -> Wrong {
        tallies.iter().fold(Wrong::default(), |sum, tally| Wrong {
            lost: sum.lost + tally.seen.iter().filter(|seen| !**seen).count() as u64,
            twice: sum.twice + tally.twice,
            out_of_order: sum.out_of_order + tally.out_of_order,
        })
    }
}

/// Lines that are not as they were written.
#[derive(Clone, Copy, Default)]
pub(super) struct Wrong {
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) out_of_order: u64,
}

/// The number that a line begins with.
fn number(text: &[u8]) -> Option<usize> {
    let digits = text.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_twice_or_out_of_order_is_counted() {
        let mut tally = Tally::of(5);
        for line in [&b"version dev listens"[..], b"1 x", b"2 x", b"2 x", b"5 x", b"4 x", b"6 x"] {
            tally.take(line);
        }
        let wrong = Tally::sum(&[tally]);
        assert_eq!((wrong.lost, wrong.twice, wrong.out_of_order), (1, 1, 1));
    }
}
