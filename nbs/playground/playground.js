// The page "Playground": the augmentations of ops.js, moved by hand or by the dice of chance.js. No picture leaves the machine.
import {amount, mixLabels, mixup, names, side, signed, steps} from "./ops.js"
import {draw, nothing} from "./chance.js"
import {planes, why} from "../try/pixels.js"

const classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
const variants = 12
const pictures = [] // {name, pixels}: a drawn one of each class, and the reader's
const state = {first: 3, second: 8, numbers: nothing, share: 1, other: nothing, seed: 0, chosen: -1} // other: the numbers of the second picture

// --- parts of the page

const part = (kind, values = {}, ...inside) => {
    const e = document.createElement(kind)
    for (const [k, v] of Object.entries(values)) k in e && k != "role" ? e[k] = v : e.setAttribute(k, v)
    e.append(...inside)
    return e
}

function canvas(className, says = "") {
    return part("canvas", {className, width: side, height: side, role: "img", "aria-label": says})
}

function show(canvas, pixels, says) {
    const pen = canvas.getContext("2d"), data = pen.createImageData(side, side)
    for (let i = 0, n = side * side; i < n; i++) {
        for (let c = 0; c < 3; c++) data.data[4 * i + c] = pixels[c * n + i]
        data.data[4 * i + 3] = 255
    }
    pen.putImageData(data, 0, 0)
    if (says) canvas.setAttribute("aria-label", says)
}

// A slider, a choice or a box to tick, with its name. `get` reads its value from the state, `set` puts it there.
const controls = []

function slider(id, name, range, get, set, say) {
    const input = part("input", {type: "range", id: `play-${id}`, className: "form-range", step: 1})
    const value = part("span", {className: "play-value", "aria-hidden": "true"})
    input.addEventListener("input", () => { set(+input.value); edited() })
    controls.push(() => {
        [input.min, input.max] = range()
        input.value = get()
        value.textContent = say()
        input.setAttribute("aria-valuetext", say())
    })
    return part("div", {className: "play-control"}, part("label", {htmlFor: input.id}, name), value, input)
}

function choice(id, name, options, get, set) {
    const select = part("select", {id: `play-${id}`, className: "form-select form-select-sm"})
    select.addEventListener("change", () => { set(select.value); edited() })
    controls.push(() => {
        const now = options()
        if (select.options.length != now.length) select.replaceChildren(...now.map(([value, text]) => part("option", {value}, text)))
        select.value = get()
    })
    return part("div", {className: "play-control"}, part("label", {htmlFor: select.id}, name), select)
}

function tick(id, name, get, set, usable = () => true) {
    const input = part("input", {type: "checkbox", id: `play-${id}`, className: "form-check-input"})
    input.addEventListener("change", () => { set(input.checked); edited() })
    controls.push(() => { input.checked = get(); input.disabled = !usable() })
    return part("div", {className: "play-tick"}, input, part("label", {htmlFor: input.id}, name))
}

const group = (name, ...inside) => part("fieldset", {}, part("legend", {}, name), ...inside)

// --- words

const signOf = v => v < 0 ? "−" : "+"
const away = (v, back, on) => v ? `${Math.abs(v)} px ${v < 0 ? back : on}` : "in the middle"
const percent = v => v > 0 && v < .005 ? "<1%" : v > .995 && v < 1 ? ">99%" : `${Math.round(100 * v)}%`

function strengthOf(op, magnitude, positive) {
    const v = amount(op, magnitude, positive), size = Math.abs(v)
    if (op.startsWith("Shear")) return `slope ${signOf(v)}${size.toFixed(2)}`
    if (op.startsWith("Translate")) return `${signOf(v)}${Math.trunc(size)} px`
    if (op == "Rotate") return `${signOf(v)}${+size.toFixed(1)}°`
    if (signed.includes(op)) return `factor ${(1 + v).toFixed(2)}`
    if (op == "Posterize") return `keeps ${v} of 8 bits`
    if (op == "Solarize") return `inverts from ${+v.toFixed(1)} up`
    return op == "Identity" ? "changes nothing" : "has no strength"
}

function inWords(n) {
    const ops = n.ops.filter(([op]) => op != "Identity").map(([op, positive]) => `${op} (${strengthOf(op, n.magnitude, positive)})`)
    const dy = n.dy - n.padding, dx = n.dx - n.padding
    return [
        dy || dx ? `crop ${[dx && away(dx, "left", "right"), dy && away(dy, "up", "down")].filter(Boolean).join(", ")}` : "",
        n.flip ? "flip" : "", ...ops,
        n.size ? `Cutout ${n.size} px at row ${n.cy}, column ${n.cx}` : ""].filter(Boolean).join("; ") || "nothing"
}

// --- the picture now

const place = document.getElementById("play")
const before = canvas("play-large"), after = canvas("play-large")
const label = part("div", {className: "play-label"})
const said = part("p", {className: "play-said"})
const strip = part("ol", {className: "play-steps"})
const problem = part("p", {className: "play-problem", role: "status"})
const samples = part("div", {className: "try-samples", role: "group", "aria-label": "the picture"})
const row = part("div", {className: "play-row", role: "group", "aria-label": "twelve variants"})

function bars(y) {
    return pictures.map(({name}, i) => ({name, p: y[i]})).filter(l => l.p > 0).sort((a, b) => b.p - a.p).map(({name, p}) => {
        const line = part("div", {className: "try-line"}, part("span", {}, name), part("span", {className: "try-bar"}), part("span", {}, percent(p)))
        line.children[1].style.setProperty("--share", p)
        Object.assign(line.dataset, {name, p})
        return line
    })
}

const labels = (first, second, share) => mixLabels(first, second, share, pictures.length)

function update() {
    const first = pictures[state.first], second = pictures[state.second]
    for (const refresh of controls) refresh()
    const done = steps(first.pixels, state.numbers), other = steps(second.pixels, state.other).at(-1)[1]
    done.push(["MixUp", mixup(done.at(-1)[1], other, state.share)])
    show(before, first.pixels, `before: ${first.name}`)
    show(after, done.at(-1)[1], `after: ${inWords(state.numbers)}`)
    label.replaceChildren(part("strong", {}, "Label"), ...bars(labels(state.first, state.second, state.share)))
    strip.replaceChildren(...done.map(([name, pixels], i) => {
        const same = pixels.every((v, k) => v == (i ? done[i - 1][1] : first.pixels)[k])
        const item = part("li", {className: same ? "play-same" : ""}, canvas("", `after ${name}`), part("span", {}, name))
        show(item.firstChild, pixels)
        return item
    }))
    const mixed = state.share < 1 ? ` Mixed: ${percent(state.share)} of it and ${percent(1 - state.share)} of the second picture (${second.name}), ` +
        `which is changed by: ${inWords(state.other)}.` : ""
    said.textContent = `Changed by: ${inWords(state.numbers)}.${mixed}`
    for (const [i, button] of [...samples.children].entries()) button.setAttribute("aria-pressed", i == state.first)
    for (const [i, button] of [...row.children].entries()) button.setAttribute("aria-pressed", i == state.chosen)
}

function edited() { state.chosen = -1; update() }

// --- the dice

// A batch with twelve of each class: the picture's class is its own twelve times, and the first twelve of the batch.
function roll(seed) {
    state.seed = seed
    const others = classes.map((_, i) => i).filter(i => i != state.first)
    const batch = [state.first, ...others].flatMap(i => Array(variants).fill(i))
    const drawn = draw(seed, batch.length)
    row.replaceChildren(...drawn.slice(0, variants).map(({numbers, partner, share}, i) => {
        const second = batch[partner], other = drawn[partner].numbers
        const mixed = mixup(steps(pictures[state.first].pixels, numbers).at(-1)[1], steps(pictures[second].pixels, other).at(-1)[1], share)
        const label = bars(labels(state.first, second, share)).map(l => `${l.dataset.name} ${percent(+l.dataset.p)}`)
        const button = part("button", {type: "button", title: inWords(numbers), "aria-label": `variant ${i + 1}: ${inWords(numbers)}; label ${label.join(", ")}`},
            part("canvas", {width: side, height: side}), ...label.map(text => part("span", {}, text)))
        show(button.firstChild, mixed)
        button.choose = () => { Object.assign(state, {numbers, second, other, share, chosen: i}); update() }
        button.addEventListener("click", button.choose)
        return button
    }))
}

const seed = part("input", {type: "number", id: "play-seed", className: "form-control form-control-sm", min: 0, max: 2 ** 32 - 1, step: 1, value: 0})
const dice = part("button", {type: "button", className: "btn btn-primary", id: "play-dice"}, "Roll the dice")
const reset = part("button", {type: "button", className: "btn btn-outline-secondary", id: "play-reset"}, "Change nothing")

function rolled(number) {
    if (!Number.isInteger(number) || number < 0 || number >= 2 ** 32) number = state.seed
    seed.value = number
    roll(number)
    row.firstChild.choose()
}

dice.addEventListener("click", () => rolled((state.seed + 1) % 2 ** 32))
seed.addEventListener("change", () => rolled(seed.valueAsNumber))
reset.addEventListener("click", () => { Object.assign(state, {numbers: nothing, other: nothing, share: 1}); edited() })

// --- which picture

function addPicture(name, pixels) {
    const i = pictures.push({name, pixels}) - 1, says = i < classes.length ? `a drawn picture: ${name}` : name
    const button = part("button", {type: "button", title: says, "aria-label": says}, part("canvas", {width: side, height: side}))
    show(button.firstChild, pixels)
    button.addEventListener("click", () => choose(i))
    samples.append(button)
}

function choose(i) {
    state.first = i
    roll(state.seed)
    edited()
}

let latest = 0 // an own picture that is read late, after another was chosen, is not shown

async function own(blob) {
    const mine = ++latest
    problem.textContent = ""
    try {
        const pixels = await planes(blob, side)
        if (mine != latest) return
        if (pictures.length > classes.length) { pictures.pop(); samples.lastChild.remove() }
        addPicture("your picture", pixels)
        choose(classes.length)
    } catch (e) { if (mine == latest) problem.textContent = why(e) }
}

const file = part("input", {type: "file", accept: "image/*", id: "play-file"})
const drop = part("label", {className: "try-drop", htmlFor: "play-file"}, file, part("span", {}, "Choose a picture of yours, or drop one here"))
file.addEventListener("change", () => { if (file.files[0]) own(file.files[0]); file.value = "" })
for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, e => { e.preventDefault(); drop.classList.toggle("over", kind == "dragover") })
drop.addEventListener("drop", e => e.dataTransfer.files[0] && own(e.dataTransfer.files[0]))

// --- all of it

const change = values => { state.numbers = {...state.numbers, ...values} }
const number = key => state.numbers[key]
const shift = key => [() => [-number("padding"), number("padding")], () => number(key) - number("padding"), v => change({[key]: v + number("padding")})]

function pad(padding) {
    const kept = key => Math.min(padding, Math.max(-padding, number(key) - number("padding"))) + padding
    change({dy: kept("dy"), dx: kept("dx"), padding})
}

function operation(i) {
    const set = values => change({ops: number("ops").map((op, k) => k == i ? values(op) : op)})
    const now = () => number("ops")[i]
    const strength = part("span", {className: "play-value"})
    controls.push(() => { strength.textContent = strengthOf(now()[0], number("magnitude"), now()[1]) })
    const control = choice(`op${i}`, `Operation ${i + 1}`, () => names.map(n => [n, n]), () => now()[0], v => set(([, positive]) => [v, positive]))
    control.firstChild.after(strength)
    return [control, tick(`negative${i}`, "negative", () => signed.includes(now()[0]) && !now()[1], v => set(([op]) => [op, !v]), () => signed.includes(now()[0]))]
}

const pictureNames = () => pictures.map(({name}, i) => [String(i), name])
const panel = part("div", {className: "play-controls"},
    group("Crop and flip",
        slider("padding", "Padding", () => [0, 12], () => number("padding"), pad, () => `${number("padding")} px`),
        slider("dx", "Window, left to right", ...shift("dx"), () => away(number("dx") - number("padding"), "left", "right")),
        slider("dy", "Window, up to down", ...shift("dy"), () => away(number("dy") - number("padding"), "up", "down")),
        choice("mode", "Padded with", () => [["zero", "black"], ["reflect", "reflection"]], () => number("mode"), mode => change({mode})),
        tick("flip", "Mirror it left to right", () => number("flip"), flip => change({flip}))),
    group("RandAugment",
        slider("magnitude", "Magnitude", () => [0, 30], () => number("magnitude"), magnitude => change({magnitude}), () => `${number("magnitude")} of 30`),
        ...operation(0), ...operation(1)),
    group("Cutout",
        slider("size", "Size", () => [0, side], () => number("size"), size => change({size}), () => number("size") ? `${number("size")} px` : "off"),
        slider("cx", "Column", () => [0, side - 1], () => number("cx"), cx => change({cx}), () => String(number("cx"))),
        slider("cy", "Row", () => [0, side - 1], () => number("cy"), cy => change({cy}), () => String(number("cy"))),
        choice("fill", "Filled with", () => [["black", "black"], ["mean", "the mean colour of CIFAR-10"]], () => number("fill"), fill => change({fill}))),
    group("MixUp",
        slider("share", "Share of the first picture", () => [0, 100], () => 100 * state.share, v => { state.share = v / 100 }, () => percent(state.share)),
        choice("second", "Second picture", pictureNames, () => String(state.second), v => Object.assign(state, {second: +v, other: nothing}))))

const figure = (canvas, text) => part("figure", {}, part("figcaption", {}, text), canvas)
const line = part("div", {className: "play-dice"}, dice, part("label", {htmlFor: "play-seed"}, "Seed"), seed, reset)

try {
    const picture = await createImageBitmap(await fetch(new URL("../images/samples.png", import.meta.url)).then(r => r.blob()), {colorSpaceConversion: "none"})
    const pen = part("canvas", {width: classes.length * side, height: side}).getContext("2d", {willReadFrequently: true})
    pen.drawImage(picture, 0, 0)
    classes.forEach((name, i) => {
        const {data} = pen.getImageData(i * side, 0, side, side)
        addPicture(name, Uint8Array.from({length: 3 * side * side}, (_, k) => data[4 * (k % (side * side)) + Math.floor(k / (side * side))]))
    })
    place.replaceChildren(drop, problem, samples,
        part("div", {className: "play-stage"}, figure(before, "Before"), figure(after, "After"), label),
        strip, said, line, row, panel)
    rolled(0)
    place.dataset.ready = "yes"
} catch (e) {
    place.replaceChildren(part("p", {}, `The playground could not be loaded: ${e.message}`))
}
