// Reads a film by GPAC's reader of MP4 and prints, as JSON, what it finds of each track, and all that it complains of.
const fs = require("fs");
const { createFile, Log, MP4BoxBuffer } = require("mp4box");

const complaints = [];
for (const level of ["warn", "error"]) {
  Log[level] = (module, text) => complaints.push(`${level}: ${module}: ${text}`);
}

function describe(file, track, size) {
  const box = file.getTrackById(track.id);
  const samples = file.getTrackSamplesInfo(track.id);
  let place = 0;
  let gaps = 0;
  for (const sample of samples) {
    gaps += sample.dts === place ? 0 : 1;
    place = sample.dts + sample.duration;
  }
  const ends = samples.map((sample) => sample.offset + sample.size);
  return {
    kind: track.type,
    codec: track.codec,
    timescale: track.timescale,
    samples: samples.length,
    gaps,
    length: place,
    media_duration: box.mdia.mdhd.duration,
    track_duration: box.tkhd.duration,
    outside: ends.filter((end) => end > size).length,
    syncs: samples.flatMap((sample, number) => (sample.is_sync ? [number] : [])),
    times: samples.map((sample) => sample.cts).sort((one, other) => one - other),
    descriptions: box.mdia.minf.stbl.stsd.entries.length,
    edits: (box.edts && box.edts.elst ? box.edts.elst.entries : []).map((edit) => ({
      duration: edit.segment_duration,
      media_time: edit.media_time,
      rate: edit.media_rate_integer,
    })),
  };
}

const file = createFile();
file.onError = (module, text) => complaints.push(`error: ${module}: ${text}`);
const bytes = fs.readFileSync(process.argv[2]);
file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), 0));
file.flush();
const info = file.getInfo();
console.log(
  JSON.stringify({
    complaints,
    boxes: file.boxes.map((box) => box.type),
    movie_timescale: file.moov.mvhd.timescale,
    movie_duration: file.moov.mvhd.duration,
    tracks: info.tracks.map((track) => describe(file, track, bytes.length)),
  }),
);
