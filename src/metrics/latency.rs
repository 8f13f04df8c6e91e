//! How long something took, as a histogram.

use serde::{Deserialize, Serialize};

/// The times from the first on, and less than the second, in nanoseconds, and how many there were.
pub type Bucket = (u64, u64, u64);

/// How long something took: a histogram. Times are exact to about 3 %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Read")]
pub struct Latency {
    /// How many times there are.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub sum_ns: u64,
    /// In order, those with any time.
    pub buckets: Vec<Bucket>,
}

/// As it is read, before it has been checked.
#[derive(Deserialize)]
struct Read {
    sum_ns: u64,
    buckets: Vec<Bucket>,
}

/// More than any histogram has.
const MOST_BUCKETS: usize = 4096;

impl TryFrom<Read> for Latency {
    type Error = String;

    fn try_from(Read { sum_ns, buckets }: Read) -> Result<Latency, String> {
        let mut end = 0;
        for &(first, after, _) in &buckets {
            if first < end || after <= first {
                return Err(format!(
                    "a histogram has a bucket from {first} to {after} behind {end}"
                ));
            }
            end = after;
        }
        match buckets.len() {
            0..=MOST_BUCKETS => Ok(Latency::new(sum_ns, buckets)),
            more => Err(format!("a histogram has {more} buckets")),
        }
    }
}

impl Latency {
    /// A histogram of these buckets.
    pub fn new(sum_ns: u64, buckets: Vec<Bucket>) -> Latency {
        let count = buckets.iter().fold(0_u64, |sum, bucket| sum.saturating_add(bucket.2));
        Latency { count, sum_ns, buckets }
    }

    /// The time that this part of all times, from 0 to 1, did not exceed, in nanoseconds. `None` if there are none.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank =
            ((part.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut counted = 0_u64;
        for &(first, after, count) in &self.buckets {
            counted = counted.saturating_add(count);
            if counted >= rank {
                return Some(first + (after - 1 - first) / 2);
            }
        }
        None
    }

    /// The longest time, in nanoseconds, about.
    pub fn longest(&self) -> Option<u64> {
        self.quantile(1.0)
    }

    /// The average, in nanoseconds.
    pub fn mean(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// What has been added since `before`; all of it if that is no earlier state of this.
    pub fn since(&self, before: &Latency) -> Latency {
        let mut old = before.buckets.iter().peekable();
        let mut buckets = Vec::new();
        for &(first, after, count) in &self.buckets {
            let was = match old.next_if(|bucket| bucket.0 == first && bucket.1 == after) {
                Some(bucket) => bucket.2,
                None => 0,
            };
            match count.checked_sub(was) {
                Some(0) => {}
                Some(more) => buckets.push((first, after, more)),
                None => return self.clone(),
            }
        }
        match (old.next(), self.sum_ns.checked_sub(before.sum_ns)) {
            (None, Some(sum_ns)) => Latency::new(sum_ns, buckets),
            _ => self.clone(),
        }
    }

    /// How many times did not exceed `ns`, to the accuracy of the buckets.
    pub fn up_to(&self, ns: u64) -> u64 {
        let within = |bucket: &&Bucket| bucket.0 + (bucket.1 - 1 - bucket.0) / 2 <= ns;
        let within = self.buckets.iter().take_while(within);
        within.fold(0_u64, |sum, bucket| sum.saturating_add(bucket.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Latency {
        Latency::new(10_000, vec![(10, 11, 1), (100, 104, 97), (1000, 1064, 2)])
    }

    #[test]
    fn quantiles_are_the_middles_of_their_buckets() {
        let latency = some();
        let quantiles = [0.0, 0.01, 0.5, 0.98, 0.981, 1.0].map(|part| latency.quantile(part));
        assert_eq!(quantiles, [10, 10, 101, 101, 1031, 1031].map(Some));
        assert_eq!(
            (latency.count, latency.mean(), latency.longest()),
            (100, Some(100), Some(1031))
        );
        let none = Latency::default();
        assert_eq!((none.quantile(0.5), none.mean()), (None, None));
    }

    #[test]
    fn what_has_been_added_is_the_difference() {
        let (before, mut after) = (some(), some());
        assert_eq!(after.since(&before), Latency::default());
        after.buckets[1].2 += 3;
        after.buckets.insert(2, (200, 208, 5));
        let after = Latency::new(after.sum_ns + 1300, after.buckets);
        assert_eq!(after.since(&before), Latency::new(1300, vec![(100, 104, 3), (200, 208, 5)]));
        assert_eq!(before.since(&after), before, "the runtime has been started again");
        assert_eq!(after.since(&Latency::default()), after);
    }

    #[test]
    fn no_histogram_is_believed_unchecked() {
        let read = |text: &str| serde_json::from_str::<Latency>(text);
        let good =
            read("{\"count\":7,\"sum_ns\":1,\"buckets\":[[1,2,3],[4,8,5]]}").expect("it is good");
        assert_eq!(good.count, 8, "what is said of the count does not matter");
        for bad in ["[[2,2,1]]", "[[3,2,1]]", "[[5,9,1],[8,12,1]]", "[[1,2]]", "[[-1,2,1]]", "7"] {
            let text = format!("{{\"sum_ns\":0,\"buckets\":{bad}}}");
            assert!(read(&text).is_err(), "{bad}");
        }
        let most = u64::MAX;
        let huge = format!("{{\"sum_ns\":{most},\"buckets\":[[0,1,{most}],[1,{most},{most}]]}}");
        let huge = read(&huge).expect("it is a histogram");
        assert!(huge.quantile(1.0).is_some() && huge.up_to(most) == most);
    }
}
