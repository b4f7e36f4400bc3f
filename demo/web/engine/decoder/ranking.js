/** The scores of one frame's candidates, and the choice of those that survive by width and threshold. */

export class Ranking {
  #width;
  #threshold = Infinity;
  #size = 0;
  #totals = new Float64Array(0);
  #bounds = new Float64Array(0);
  #taken = new Uint8Array(0);
  #ranked = new Float64Array(0);

  /** @param {number} width Number of candidates that survive. */
  constructor(width) {
    this.#width = width;
    /** Number of candidates with a bound. */
    this.bounds = 0;
    /** Number of candidates that the last choice took. */
    this.chosen = 0;
  }

  /** @param {number} size Largest number of candidates until the next call. */
  reserve(size) {
    this.#totals = new Float64Array(size);
    this.#bounds = new Float64Array(size);
    this.#taken = new Uint8Array(size);
    this.#ranked = new Float64Array(size);
  }

  /** @param {number} threshold Candidates that score further below the best are dropped. */
  begin(threshold) {
    this.#threshold = threshold;
    this.#size = this.bounds = 0;
  }

  /** @param {number} total */
  add(total) {
    this.#totals[this.#size++] = total;
  }

  /**
   * Add a candidate whose score is not above this bound; it does not count before `resolve`.
   *
   * @param {number} bound
   */
  addBound(bound) {
    this.#bounds[this.#size] = bound;
    this.#totals[this.#size++] = -Infinity;
    this.bounds++;
  }

  /** @param {number} candidate */
  bound(candidate) {
    return this.#bounds[candidate];
  }

  /**
   * @param {number} candidate
   * @param {number} total
   */
  resolve(candidate, total) {
    this.#totals[candidate] = total;
  }

  /**
   * The lowest score that survives.
   *
   * @param {number} floor One that is not above it.
   */
  floor(floor) {
    const totals = this.#totals;
    const size = this.#size;
    let best = -Infinity;
    for (let at = 0; at < size; at++) if (totals[at] > best) best = totals[at];
    floor = Math.max(floor, best - this.#threshold);
    const ranked = this.#ranked;
    let count = 0;
    for (let at = 0; at < size; at++) if (totals[at] >= floor) ranked[count++] = totals[at];
    return count < this.#width ? floor : Math.max(floor, select(ranked, count, count - this.#width));
  }

  /**
   * Take the candidates above the floor, and of those at the floor the first ones.
   *
   * @param {number} floor
   * @param {number} beams Number of candidates that are beams already, which come first.
   * @param {Int32Array} newRows Number of each of these among those taken, -1 for the others; written.
   * @returns {number} How many of these are taken.
   */
  choose(floor, beams, newRows) {
    const totals = this.#totals;
    let level = this.#width;
    if (floor !== -Infinity) {
      for (let at = 0; at < this.#size && level; at++) if (totals[at] > floor) level--;
    }
    let row = 0;
    this.chosen = 0;
    for (let at = 0; at < this.#size; at++) {
      const above = totals[at] > floor;
      const taken = above || (!(totals[at] < floor) && level > 0);
      if (taken && !above) level--;
      this.#taken[at] = taken ? 1 : 0;
      if (taken) this.chosen++;
      if (at < beams) newRows[at] = taken ? row++ : -1;
    }
    if (!this.chosen) newRows[0] = row++; // only a damaged language model makes all scores invalid
    return row;
  }

  /** @param {number} candidate */
  taken(candidate) {
    return this.#taken[candidate] === 1;
  }
}

/**
 * The number that would have an index if the first `size` numbers were sorted; they change their order.
 *
 * @param {Float64Array} numbers
 * @param {number} size
 * @param {number} index
 */
export function select(numbers, size, index) {
  let left = 0;
  let right = size - 1;
  while (left < right) {
    const pivot = median(numbers[left], numbers[(left + right) >>> 1], numbers[right]);
    let low = left;
    let high = right;
    while (low <= high) {
      while (numbers[low] < pivot) low++;
      while (numbers[high] > pivot) high--;
      if (low > high) break;
      const moved = numbers[low];
      numbers[low++] = numbers[high];
      numbers[high--] = moved;
    }
    if (index <= high) right = high;
    else if (index >= low) left = low;
    else break;
  }
  return numbers[index];
}

/**
 * @param {number} a
 * @param {number} b
 * @param {number} c
 */
function median(a, b, c) {
  return a < b ? (b < c ? b : Math.max(a, c)) : a < c ? a : Math.max(b, c);
}
