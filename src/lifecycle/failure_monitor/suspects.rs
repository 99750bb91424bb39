//! Requests that a deployment on trial failed: counts by group of callers, and a bounded sample of inputs.
//!
//! Each group has an equal part of the room, filled at random (reservoir sampling). A caller with ten thousand requests
//! therefore displaces its own group's samples only.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::{ByGroup, GROUPS, group_of};
use crate::{
    model::{Tensor, TensorData},
    runtime::Inputs,
};

/// Most samples.
const MOST_SAMPLES: usize = 32;

/// Most bytes of all samples.
const MOST_BYTES: usize = 8 << 20;

/// Bytes of a string beside its text.
const TEXT_BYTES: usize = size_of::<String>();

/// A failed request.
#[derive(Debug)]
pub struct Suspect {
    /// The caller, as a number.
    pub caller: u64,
    /// The inputs of the run. `None` if they are lost.
    pub inputs: Option<Box<Inputs>>,
    /// True if the request was for rows: each output must have one part per row.
    pub by_rows: bool,
    /// True if the model refused the inputs rather than failed.
    pub is_refusal: bool,
}

/// The inputs of a failed request.
#[derive(Debug)]
pub struct Sample {
    pub(in crate::lifecycle) inputs: Inputs,
    pub(in crate::lifecycle) by_rows: bool,
    bytes: usize,
}

/// The collected failures.
#[derive(Debug)]
pub(super) struct SuspectInputs {
    /// Failures since the last comparison, by group.
    fresh: BTreeMap<usize, Group>,
    /// Failures of earlier comparisons that the previous deployment would have answered, estimated from the samples.
    counted: ByGroup<f64>,
    /// Number of all failures.
    all: u64,
    /// Samples that were compared, and those of them that the previous deployment answered.
    compared: (u64, u64),
    next_comparison: Option<Instant>,
}

#[derive(Debug, Default)]
struct Group {
    requests: u64,
    samples: Vec<Sample>,
}

/// Failures collected between two comparisons.
#[derive(Debug)]
pub(in crate::lifecycle) struct Taken {
    /// Successful responses so far.
    pub(super) answered: ByGroup<u64>,
    /// Failed requests so far.
    pub(super) all: u64,
    /// Samples, each with its group.
    pub(in crate::lifecycle) samples: Vec<(usize, Sample)>,
    requests: BTreeMap<usize, u64>,
}

impl Default for SuspectInputs {
    fn default() -> Self {
        Self {
            fresh: BTreeMap::new(),
            counted: [0.0; GROUPS],
            all: 0,
            compared: (0, 0),
            next_comparison: None,
        }
    }
}

impl SuspectInputs {
    /// Counts a request, and keeps its inputs if chance and room allow.
    pub(super) fn add(&mut self, suspect: Suspect) {
        let number = group_of(suspect.caller);
        self.all += 1;
        let is_new = !self.fresh.contains_key(&number);
        let groups = self.fresh.len() + usize::from(is_new);
        let room = (MOST_SAMPLES.div_euclid(groups).max(1), MOST_BYTES / groups);
        if is_new {
            self.fresh.values_mut().for_each(|group| group.shrink(room));
        }
        let group = self.fresh.entry(number).or_default();
        group.requests += 1;
        if let Some(inputs) = suspect.inputs {
            group.sample(&inputs, suspect.by_rows, room);
        }
    }

    /// Returns true if the pause after the last comparison is over.
    pub(super) fn may_be_compared(&self) -> bool {
        self.next_comparison.is_none_or(|next| Instant::now() >= next)
    }

    pub(super) fn rest(&mut self, pause: Duration) {
        self.next_comparison = Instant::now().checked_add(pause);
    }

    /// Returns the upper limit of confirmed failures by group, if every open one is confirmed.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate of more requests than 2^53 is as good when rounded"
    )]
    pub(super) fn most_counted(&self) -> ByGroup<f64> {
        let mut most = self.counted;
        for (group, fresh) in &self.fresh {
            most[*group] += fresh.requests as f64;
        }
        most
    }

    /// Returns the failures that comparisons have confirmed so far, by group.
    pub(super) fn counted(&self) -> &ByGroup<f64> {
        &self.counted
    }

    /// Returns the numbers of samples that were compared, and of those that the previous deployment answered.
    pub(super) fn compared(&self) -> (u64, u64) {
        self.compared
    }

    /// Takes what was collected. Samples of all groups take turns, in case not all can be tried.
    pub(super) fn take(&mut self, answered: ByGroup<u64>) -> Taken {
        let fresh = std::mem::take(&mut self.fresh);
        let requests = fresh.iter().map(|(number, group)| (*number, group.requests)).collect();
        let numbered = |(number, group): (usize, Group)| {
            group.samples.into_iter().enumerate().map(move |(turn, sample)| (turn, number, sample))
        };
        let mut samples: Vec<_> = fresh.into_iter().flat_map(numbered).collect();
        samples.sort_by_key(|(turn, number, _)| (*turn, *number));
        let samples = samples.into_iter().map(|(_, number, sample)| (number, sample)).collect();
        Taken { answered, all: self.all, samples, requests }
    }

    /// Extrapolates the samples to all requests of their group. A group without a tried sample counts nothing.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate of more requests than 2^53 is as good when rounded"
    )]
    pub(super) fn learn(&mut self, taken: &Taken, answered: &[Option<bool>]) {
        for (number, requests) in &taken.requests {
            let of_group = taken.samples.iter().zip(answered).filter(|((group, _), _)| group == number);
            let (mut tried, mut good) = (0_u64, 0_u64);
            for is_answered in of_group.filter_map(|(_, answered)| *answered) {
                tried += 1;
                good += u64::from(is_answered);
            }
            if tried > 0 {
                self.counted[*number] += *requests as f64 * (good as f64 / tried as f64);
            }
            self.compared.0 += tried;
            self.compared.1 += good;
        }
    }
}

impl Group {
    /// Keeps the inputs in place of others, each request with the same chance.
    fn sample(&mut self, inputs: &Inputs, by_rows: bool, (most, most_bytes): (usize, usize)) {
        let mut random = rand::rng();
        let bytes = bytes_of(inputs);
        let kept: usize = self.samples.iter().map(|sample| sample.bytes).sum();
        // Inputs without room replace another sample, if they fit then.
        let has_room = self.samples.len() < most && kept + bytes <= most_bytes;
        let replaced = if has_room {
            None
        } else {
            let place = usize::try_from(random.random_range(0..self.requests)).unwrap_or(usize::MAX);
            let Some(sample) = self.samples.get(place) else { return };
            if kept - sample.bytes + bytes > most_bytes {
                return;
            }
            Some(place)
        };
        let Some(inputs) = detached(inputs) else { return };
        let sample = Sample { inputs, by_rows, bytes };
        match replaced.and_then(|place| self.samples.get_mut(place)) {
            Some(place) => *place = sample,
            None => self.samples.push(sample),
        }
    }

    /// Drops samples at random until the others fit.
    fn shrink(&mut self, (most, most_bytes): (usize, usize)) {
        let mut random = rand::rng();
        let does_not_fit = |samples: &[Sample]| {
            samples.len() > most || samples.iter().map(|sample| sample.bytes).sum::<usize>() > most_bytes
        };
        while does_not_fit(&self.samples) {
            self.samples.swap_remove(random.random_range(0..self.samples.len()));
        }
    }
}

fn bytes_of(inputs: &Inputs) -> usize {
    let bytes = |tensor: &Tensor| match tensor.data() {
        TensorData::String(texts) => texts.iter().map(|text| text.len() + TEXT_BYTES).sum(),
        data => data.len() * data.element_type().size_bytes().unwrap_or(TEXT_BYTES),
    };
    inputs.tensors().map(bytes).sum()
}

/// Copies inputs, because tensors may be parts of the request body, which the sample would keep in memory.
fn detached(inputs: &Inputs) -> Option<Inputs> {
    Some(match inputs {
        Inputs::Only(tensor) => Inputs::Only(tensor.detached()?),
        Inputs::Named(named) => {
            let copy = |(name, tensor): &(String, Tensor)| Some((name.clone(), tensor.detached()?));
            Inputs::Named(named.iter().map(copy).collect::<Option<_>>()?)
        }
    })
}
