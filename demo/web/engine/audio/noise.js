/**
 * The faint noise that stands for silence: the numbers of `numpy.random.default_rng(0).standard_normal(65536, float32)`,
 * so that the model receives the same samples as from the Python package.
 *
 * Sources: M. O'Neill, PCG64 (XSL RR 128/64); G. Marsaglia and W. Tsang, "The ziggurat method for generating random
 * variables" (2000).
 */

const STATE = 35399562948360463058890781895381311971n; // of numpy's PCG64 for the seed 0
const INCREMENT = 87136372517582989555478159403783844777n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const STRIPS = 256;
const EDGE = 3.6541528853610088; // where the tail begins
const FLOAT_EDGE = Math.fround(EDGE);
const AREA = 0.004928673233974658; // of each strip, and of the tail with the rectangle below it
const FRACTION = 2 ** 23; // the float version takes 23 bits for the position in a strip

/**
 * @param {number} count
 * @returns {Float32Array} Normal random numbers.
 */
export function standardNormal(count) {
  const { limits, widths, heights } = ziggurat();
  const next = uint32s();
  const uniform = () => (next() >>> 8) / 2 ** 24;
  const draw = () => {
    while (true) {
      const bits = next();
      const strip = bits & 0xff;
      const position = (bits >>> 9) & 0x7fffff;
      const size = Math.fround(position * widths[strip]);
      const x = bits & 0x100 ? -size : size;
      if (position < limits[strip]) return x;
      if (strip === 0) {
        while (true) {
          const beyond = Math.fround(-Math.fround(1 / EDGE) * Math.fround(Math.log1p(-uniform())));
          const y = -Math.fround(Math.log1p(-uniform()));
          if (y + y > beyond * beyond) return (position >>> 8) & 1 ? -(FLOAT_EDGE + beyond) : FLOAT_EDGE + beyond;
        }
      }
      const height = Math.fround(Math.fround(heights[strip - 1] - heights[strip]) * uniform());
      if (Math.fround(height + heights[strip]) < Math.exp(-0.5 * x * x)) return x;
    }
  };
  return Float32Array.from({ length: count }, draw);
}

/** The strips of the normal density, from the widest one below to the top. */
function ziggurat() {
  const limits = new Uint32Array(STRIPS);
  const widths = new Float32Array(STRIPS);
  const heights = new Float32Array(STRIPS);
  const density = (/** @type {number} */ x) => Math.exp(-0.5 * x * x);
  let x = EDGE;
  const base = AREA / density(x);
  limits[0] = (x / base) * FRACTION;
  widths[0] = base / FRACTION;
  heights[0] = 1;
  for (let strip = STRIPS - 1; strip > 0; strip--) {
    widths[strip] = x / FRACTION;
    heights[strip] = density(x);
    const inner = strip > 1 ? Math.sqrt(-2 * Math.log(AREA / x + density(x))) : 0;
    limits[strip] = (inner / x) * FRACTION;
    x = inner;
  }
  return { limits, widths, heights };
}

/** @returns {() => number} The numbers of 32 bits, the low half of each number of 64 bits first. */
function uint32s() {
  let state = STATE;
  let high = 0;
  let hasHigh = false;
  return () => {
    hasHigh = !hasHigh;
    if (!hasHigh) return high;
    state = BigInt.asUintN(128, state * MULTIPLIER + INCREMENT);
    const mixed = BigInt.asUintN(64, (state >> 64n) ^ state);
    const turn = state >> 122n;
    const number = BigInt.asUintN(64, (mixed >> turn) | (mixed << (64n - turn)));
    high = Number(number >> 32n);
    return Number(number & 0xffffffffn);
  };
}
