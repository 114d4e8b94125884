// The page "Try it": classifies a picture in the browser. The network is an ONNX file beside this script, and so is
// onnxruntime-web; tools/web.py puts both here. No picture leaves the machine.
import * as ort from "./ort/ort.wasm.min.mjs"

const here = new URL(".", import.meta.url).href
const place = document.getElementById("try")
const most = 50e6 // pixels

ort.env.wasm.wasmPaths = here + "ort/"
ort.env.wasm.numThreads = 1 // threads need headers that simple web servers do not send

// --- pixels

// One line of Pillow's bicubic resampling: for each new pixel the first old one it takes, and the weights from there on.
function weights(from, to) {
    const scale = from / to, stretch = Math.max(scale, 1), support = 2 * stretch
    const cubic = x => (x = Math.abs(x), x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0)
    return Array.from({length: to}, (_, i) => {
        const centre = (i + 0.5) * scale
        const first = Math.max(0, Math.trunc(centre - support + 0.5)), end = Math.min(from, Math.trunc(centre + support + 0.5))
        const w = Array.from({length: end - first}, (_, k) => cubic((k + first - centre + 0.5) / stretch))
        const sum = w.reduce((a, b) => a + b, 0)
        return [first, w.map(v => v / sum)]
    })
}

const byte = v => Math.min(255, Math.max(0, Math.floor(v + 0.5)))

// A picture -> the three planes of size x size that the network takes, as Pillow would resize them: first the rows, strip by
// strip, then the columns.
function planes(picture, size) {
    const {width, height} = picture, across = weights(width, size), down = weights(height, size)
    const out = new Uint8Array(3 * size * size), rows = new Uint8Array(3 * height * size)
    for (const {pixels, top, n} of strips(picture)) for (let c = 0; c < 3; c++) for (let y = 0; y < n; y++) for (let x = 0; x < size; x++) {
        const at = (c * height + top + y) * size + x
        if (width == size) { rows[at] = pixels[4 * (y * width + x) + c]; continue }
        const [first, w] = across[x]
        let sum = 0
        for (let k = 0; k < w.length; k++) sum += w[k] * pixels[4 * (y * width + first + k) + c]
        rows[at] = byte(sum)
    }
    for (let c = 0; c < 3; c++) for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
        const at = (c * size + y) * size + x
        if (height == size) { out[at] = rows[(c * height + y) * size + x]; continue }
        const [first, w] = down[y]
        let sum = 0
        for (let k = 0; k < w.length; k++) sum += w[k] * rows[(c * height + first + k) * size + x]
        out[at] = byte(sum)
    }
    return out
}

// The RGBA pixels of a picture in strips from top to bottom, transparent parts white: phones have no canvas for a whole photograph.
function* strips(picture) {
    const most_rows = Math.max(1, Math.floor(4e6 / picture.width))
    for (let top = 0; top < picture.height; top += most_rows) {
        const n = Math.min(most_rows, picture.height - top)
        const canvas = Object.assign(document.createElement("canvas"), {width: picture.width, height: n})
        const pen = canvas.getContext("2d", {willReadFrequently: true})
        pen.fillStyle = "white"
        pen.fillRect(0, 0, picture.width, n)
        pen.drawImage(picture, 0, -top)
        yield {pixels: pen.getImageData(0, 0, picture.width, n).data, top, n}
    }
}

// --- network

let loading
function network() {
    return loading ??= Promise.all([
        fetch(here + "model.json").then(r => r.json()),
        ort.InferenceSession.create(here + "model.onnx", {executionProviders: ["wasm"]})]).catch(e => { loading = null; throw e })
}

// The classes and their probabilities, most probable first.
export async function classify(blob) {
    const [{classes, size}, session] = await network()
    const picture = await createImageBitmap(blob, {colorSpaceConversion: "none"}) // upright; colours as they are in the file, as Pillow has them
    if (picture.width * picture.height > most) throw new Error(`the picture has ${picture.width} x ${picture.height} pixels: make it smaller`)
    const images = new ort.Tensor("uint8", planes(picture, size), [1, 3, size, size])
    picture.close()
    const {probabilities} = await session.run({images})
    return classes.map((name, i) => ({name, p: probabilities.data[i]})).sort((a, b) => b.p - a.p)
}

// --- page

const part = (kind, values = {}, ...inside) => {
    const e = Object.assign(document.createElement(kind), values)
    e.append(...inside)
    return e
}
const input = part("input", {type: "file", accept: "image/*", id: "try-file"})
const drop = part("label", {className: "try-drop", htmlFor: "try-file"}, input, part("span", {textContent: "Choose a picture, or drop one here"}))
const samples = part("div", {className: "try-samples"})
const shown = part("img", {className: "try-shown", alt: "the picture that was classified"})
const answer = part("div", {className: "try-answer"}, part("p", {textContent: "Its answer will appear here."}))
answer.setAttribute("aria-live", "polite")
place.replaceChildren(drop, samples, part("div", {className: "try-result"}, answer))

function bar({name, p}) {
    const line = part("div", {className: "try-line"}, part("span", {textContent: name}), part("span", {className: "try-bar"}), part("span", {textContent: (100 * p).toFixed(1) + "%"}))
    line.children[1].style.setProperty("--share", p)
    line.dataset.name = name
    line.dataset.p = p
    return line
}

let latest = 0 // pictures shown: an answer that comes late, after another picture was chosen, is not shown

async function show(blob) {
    const mine = ++latest
    answer.replaceChildren(part("p", {textContent: "Looking …"}))
    answer.removeAttribute("data-done")
    if (shown.src) URL.revokeObjectURL(shown.src)
    shown.src = URL.createObjectURL(blob)
    answer.before(shown)
    try {
        await network() // its loading is not part of the time below
        const start = performance.now()
        const found = await classify(blob)
        const ms = performance.now() - start
        if (mine != latest) return
        const sure = found[0].p < 0.5 ? "It is not sure at all." : found[0].p < 0.9 ? "It has its doubts." : ""
        answer.replaceChildren(...found.slice(0, 5).map(bar), part("p", {textContent: `${sure} It knows these ten classes only, so whatever else you show it gets one of their names. (${ms.toFixed(0)} ms)`}))
        answer.dataset.ms = ms
    } catch (e) {
        if (mine != latest) return
        shown.remove()
        answer.replaceChildren(part("p", {textContent: e.name == "InvalidStateError" || e.name == "EncodingError" ? "Your browser cannot read this as a picture: try a PNG or JPEG." : `That did not work: ${e.message}`}))
    }
    answer.dataset.done = "yes"
}

input.addEventListener("change", () => input.files[0] && show(input.files[0]))
for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, e => { e.preventDefault(); drop.classList.toggle("over", kind == "dragover") })
drop.addEventListener("drop", e => e.dataTransfer.files[0] && show(e.dataTransfer.files[0]))
try {
    const {classes} = await fetch(here + "model.json").then(r => r.json())
    for (const name of classes) {
        const button = part("button", {type: "button", title: `a drawn picture: ${name}`}, part("img", {src: `${here}samples/${name}.png`, alt: `a drawn picture: ${name}`, width: 56, height: 56}))
        button.addEventListener("click", async () => show(await fetch(`${here}samples/${name}.png`).then(r => r.blob())))
        samples.append(button)
    }
} catch (e) {
    answer.replaceChildren(part("p", {textContent: `The network could not be loaded: ${e.message}`}))
}
