// The numbers that the recipe `final` draws for a batch: the same as PyTorch's, for the same seed on a CPU.

import {names, side} from "./ops.js"

// torch.Generator().manual_seed(seed): the Mersenne Twister MT19937.
export class Generator {
    constructor(seed) {
        const s = this.state = new Uint32Array(624)
        s[0] = seed
        for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1] ^ (s[i - 1] >>> 30)) + i
        this.next = 624
    }

    // 32 random bits.
    bits() {
        const s = this.state
        if (this.next == 624) {
            for (let i = 0; i < 624; i++) {
                const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff)
                s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
            }
            this.next = 0
        }
        let y = s[this.next++]
        y ^= y >>> 11
        y ^= (y << 7) & 0x9d2c5680
        y ^= (y << 15) & 0xefc60000
        return (y ^ (y >>> 18)) >>> 0
    }

    // n whole numbers below `high`; n numbers in 0..1 (float64); the numbers below n in any order.
    randint(high, n) { return Array.from({length: n}, () => this.bits() % high) }
    rand(n) { return Array.from({length: n}, () => ((this.bits() & 0x1fffff) * 2 ** 32 + this.bits()) / 2 ** 53) }
    randperm(n) {
        const order = Array.from({length: n}, (_, i) => i)
        for (let i = 0; i < n - 1; i++) {
            const k = i + this.bits() % (n - i)
            ;[order[i], order[k]] = [order[k], order[i]]
        }
        return order
    }

    // n numbers from Beta(alpha, alpha), as `symmetric_beta` makes them.
    beta(alpha, n) {
        const u = this.rand(n), v = this.rand(n)
        return u.map((u, i) => {
            const cos = Math.cos(2 * Math.PI * v[i]), s = Math.expm1(-Math.log1p(-u) / alpha) * cos ** 2
            return Math.fround(.5 + .5 * Math.sign(cos) / Math.sqrt(1 + 1 / s))
        })
    }
}

// What changes nothing.
export const nothing = {padding: 4, mode: "zero", dy: 4, dx: 4, flip: false, magnitude: 7, ops: [["Identity", true], ["Identity", true]],
    size: 0, cy: side / 2, cx: side / 2, fill: "black"}

// For each of n images its numbers, the place of its partner in MixUp, and the share of its own.
export function draw(seed, n) {
    const gen = new Generator(seed)
    const dy = gen.randint(9, n), dx = gen.randint(9, n), flip = gen.randint(2, n)
    const ops = [0, 1].map(() => [gen.randint(names.length, n), gen.randint(2, n)])
    const cy = gen.randint(side, n), cx = gen.randint(side, n)
    const share = gen.beta(.2, n), partner = gen.randperm(n)
    return dy.map((_, i) => ({
        numbers: {...nothing, dy: dy[i], dx: dx[i], flip: !!flip[i], size: 16, cy: cy[i], cx: cx[i],
            ops: ops.map(([op, positive]) => [names[op[i]], !!positive[i]])},
        partner: partner[i], share: share[i]}))
}
