//! Which detection belongs to which track: the assignment with the least total cost.

/// A track and a detection that may belong together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) track: usize,
    pub(super) detection: usize,
    /// How unlikely it is, from 0; to leave a track without a detection costs 1.
    pub(super) cost: f32,
}

/// Cost of a pair that is no candidate: never the better choice.
const IMPOSSIBLE: f64 = 1e4;

/// The pairs of track and detection with the least total cost, each track and detection at most
/// once. Pairs that cost 1 or more are never chosen.
pub(super) fn assign(candidates: &[Candidate]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for group in groups(candidates) {
        match group[..] {
            [only] if only.cost < 1.0 => pairs.push((only.track, only.detection)),
            [_] => {}
            _ => assign_group(&group, &mut pairs),
        }
    }
    pairs.sort_unstable();
    pairs
}

/// Candidates that share tracks or detections, directly or through others, in groups. Nearly all
/// faces are far from each other, so nearly all groups have one member.
fn groups(candidates: &[Candidate]) -> Vec<Vec<Candidate>> {
    let tracks = candidates.iter().map(|c| c.track + 1).max().unwrap_or(0);
    let detections = candidates.iter().map(|c| c.detection + 1).max().unwrap_or(0);
    let mut parent: Vec<usize> = (0..tracks + detections).collect();
    fn root(parent: &mut [usize], mut node: usize) -> usize {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    }
    for c in candidates {
        let (a, b) = (root(&mut parent, c.track), root(&mut parent, tracks + c.detection));
        parent[a.max(b)] = a.min(b);
    }
    let mut groups = vec![Vec::new(); tracks + detections];
    for c in candidates {
        groups[root(&mut parent, c.track)].push(*c);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The Hungarian method (Kuhn 1955, Munkres 1957) with potentials: rows are tracks; columns are
/// detections, then a way out for each track.
fn assign_group(group: &[Candidate], pairs: &mut Vec<(usize, usize)>) {
    let mut tracks: Vec<usize> = group.iter().map(|c| c.track).collect();
    let mut detections: Vec<usize> = group.iter().map(|c| c.detection).collect();
    for list in [&mut tracks, &mut detections] {
        list.sort_unstable();
        list.dedup();
    }
    let (rows, columns) = (tracks.len(), detections.len() + tracks.len());
    let mut costs = vec![IMPOSSIBLE; rows * columns];
    for c in group {
        let row = tracks.binary_search(&c.track).unwrap_or(0);
        let column = detections.binary_search(&c.detection).unwrap_or(0);
        costs[row * columns + column] = f64::from(c.cost);
    }
    for row in 0..rows {
        costs[row * columns + detections.len() + row] = 1.0;
    }
    for (row, column) in solve(&costs, rows, columns).into_iter().enumerate() {
        if column < detections.len() && costs[row * columns + column] < 1.0 {
            pairs.push((tracks[row], detections[column]));
        }
    }
}

/// The column of each row in the cheapest assignment of all rows; `columns` is at least `rows`.
fn solve(costs: &[f64], rows: usize, columns: usize) -> Vec<usize> {
    // Index 0 stands for "none"; rows and columns count from 1.
    let mut row_potential = vec![0.0; rows + 1];
    let mut column_potential = vec![0.0; columns + 1];
    let mut row_of = vec![0; columns + 1];
    let mut came_from = vec![0; columns + 1];
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; columns + 1];
        let mut used = vec![false; columns + 1];
        while row_of[column] != 0 {
            used[column] = true;
            let (current, mut delta, mut next) = (row_of[column], f64::INFINITY, 0);
            for other in 1..=columns {
                if used[other] {
                    continue;
                }
                let cost = costs[(current - 1) * columns + other - 1];
                let reduced = cost - row_potential[current] - column_potential[other];
                if reduced < least[other] {
                    least[other] = reduced;
                    came_from[other] = column;
                }
                if least[other] < delta {
                    delta = least[other];
                    next = other;
                }
            }
            for other in 0..=columns {
                if used[other] {
                    row_potential[row_of[other]] += delta;
                    column_potential[other] -= delta;
                } else {
                    least[other] -= delta;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[came_from[column]];
            column = came_from[column];
        }
    }
    let mut column_of = vec![0; rows];
    for column in 1..=columns {
        if row_of[column] != 0 {
            column_of[row_of[column] - 1] = column - 1;
        }
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(list: &[(usize, usize, f32)]) -> Vec<Candidate> {
        list.iter().map(|&(track, detection, cost)| Candidate { track, detection, cost }).collect()
    }

    #[test]
    fn assignment_prefers_the_least_total_to_the_nearest_pair() {
        // The nearest pair alone would leave track 1 with nothing.
        let list = candidates(&[(0, 0, 0.1), (0, 1, 0.3), (1, 0, 0.2)]);
        assert_eq!(assign(&list), [(0, 1), (1, 0)]);
    }

    #[test]
    fn assignment_leaves_out_what_costs_too_much() {
        assert_eq!(assign(&candidates(&[(3, 5, 1.0), (4, 6, 0.99)])), [(4, 6)]);
        assert_eq!(assign(&[]), []);
        // Better one good pair than two of which one is impossible.
        let list = candidates(&[(0, 0, 0.5), (1, 0, 0.6), (1, 1, 1.2)]);
        assert_eq!(assign(&list), [(0, 0)]);
    }

    /// The least total cost by trying everything.
    fn exhaustive(costs: &[Vec<f32>], row: usize, used: u32) -> f32 {
        let Some(line) = costs.get(row) else { return 0.0 };
        let mut best = 1.0 + exhaustive(costs, row + 1, used);
        for (column, cost) in line.iter().enumerate() {
            if used & (1 << column) == 0 {
                best = best.min(cost + exhaustive(costs, row + 1, used | (1 << column)));
            }
        }
        best
    }

    proptest! {
        #[test]
        fn assignment_has_the_least_total_cost(
            costs in prop::collection::vec(prop::collection::vec(0f32..1.5, 4), 1..5)
        ) {
            let mut list = Vec::new();
            for (track, line) in costs.iter().enumerate() {
                for (detection, &cost) in line.iter().enumerate() {
                    list.push(Candidate { track, detection, cost });
                }
            }
            let pairs = assign(&list);
            let mut total = (costs.len() - pairs.len()) as f32;
            let mut used = 0u32;
            for (track, detection) in pairs {
                total += costs[track][detection];
                prop_assert_eq!(used & (1 << detection), 0);
                used |= 1 << detection;
            }
            prop_assert!((total - exhaustive(&costs, 0, 0)).abs() < 1e-4);
        }
    }
}
