/** Two soft notes and a short buzz: something waits for an answer. Browsers allow it only after a first touch. */

const NOTES_HZ = [659, 880];
const NOTE_S = 0.16;

export function chime(): void {
  if (!navigator.userActivation?.hasBeenActive) return;
  navigator.vibrate?.(200);
  const audio = new AudioContext();
  NOTES_HZ.forEach((frequency, index) => {
    const at = audio.currentTime + index * NOTE_S;
    const tone = new OscillatorNode(audio, { type: "sine", frequency });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.12, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, at + NOTE_S * 2);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + NOTE_S * 2);
  });
  setTimeout(() => void audio.close(), 1_500);
}
