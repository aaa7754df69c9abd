"""Every text of the look back, in Indonesian and English. Machine values stay English."""

from __future__ import annotations

from collections.abc import Mapping

from luxima_retention.report.texts import TEXTS, number

_OWN: Mapping[str, Mapping[str, str]] = {
    "retro title": {"id": "Retrospektif sprint: retensi log", "en": "Sprint retrospective: log retention"},
    "written": {"id": "Dibuat", "en": "Written"},
    "environment": {"id": "Lingkungan", "en": "Environment"},
    "headline none": {
        "id": "Tidak ada gangguan dalam periode ini.",
        "en": "There was no trouble in this period.",
    },
    "headline well": {
        "id": "{count} gangguan, semuanya sudah pulih.",
        "en": "{count} troubles, all of them mended.",
    },
    "headline open": {
        "id": "{count} gangguan; {open} masih terbuka.",
        "en": "{count} troubles; {open} still open.",
    },
    "not over yet": {
        "id": "Periode ini belum berakhir: isinya sampai saat dokumen ini dibuat.",
        "en": "The period is not over: this is what it held when this was written.",
    },
    "not notified": {
        "id": "Ingatan notifikasi tidak dapat dibaca atau tidak ada yang diberi tahu:"
        " waktu sampai diberi tahu tidak diketahui.",
        "en": "The memory of notifications cannot be read, or nobody is told: the time to tell is not known.",
    },
    # --- tiles ------------------------------------------------------------------------------------------
    "incidents": {"id": "Gangguan", "en": "Troubles"},
    "incidents note": {
        "id": "{open} masih terbuka; {repeats} berulang",
        "en": "{open} still open; {repeats} came back",
    },
    "time to tell": {"id": "Waktu sampai diberi tahu", "en": "Time to tell"},
    "tell note": {
        "id": "median, paling lama {longest}; {untold} tidak diberitahukan",
        "en": "median, {longest} at most; {untold} not told",
    },
    "time to mend": {"id": "Waktu sampai pulih", "en": "Time to mend"},
    "mend note": {"id": "median, paling lama {longest}", "en": "median, {longest} at most"},
    "actions": {"id": "Tindakan terbuka", "en": "Open actions"},
    "actions note": {
        "id": "{refusals} kali pengaman menolak; {holds} penahanan berlaku",
        "en": "guards refused {refusals} times; {holds} holds in force",
    },
    # --- sections ---------------------------------------------------------------------------------------
    "part actions": {"id": "A. Yang masih harus dilakukan", "en": "A. What has yet to be done"},
    "part incidents": {"id": "B. Gangguan", "en": "B. Troubles"},
    "part incidents note": {
        "id": "Waktu sampai diberi tahu: dari eksekusi yang menemukannya sampai pesan pertama tiba."
        " Waktu sampai pulih: dari awal gangguan sampai eksekusi yang menemukan semuanya baik.",
        "en": "Time to tell: from the run that found it to the first message that arrived. Time to mend: from"
        " its beginning to the run that found all well.",
    },
    "part repeats": {"id": "C. Yang berulang", "en": "C. What came back"},
    "part repeats note": {
        "id": "Sebab yang sama pada penyimpanan yang sama: lebih dari sekali, atau juga dalam periode"
        " yang sama panjang sebelumnya.",
        "en": "The same cause at the same store: more than once, or also in the period of the same length"
        " before this one.",
    },
    "part guards": {"id": "D. Pengaman yang bekerja", "en": "D. Guards that were met"},
    "part guards note": {
        "id": "Apakah pengaman itu benar? Jawab bersama, dan catat di bawah.",
        "en": "Was the guard right? Answer together, and note it below.",
    },
    "part holds": {"id": "E. Penahanan hukum", "en": "E. Legal holds"},
    "questions": {"id": "F. Jawaban bersama", "en": "F. Answers of the team"},
    # --- columns ----------------------------------------------------------------------------------------
    "where": {"id": "Kebijakan, penyimpanan", "en": "Policy, store"},
    "cause": {"id": "Sebab", "en": "Cause"},
    "code": {"id": "Kode", "en": "Code"},
    "began": {"id": "Mulai", "en": "Began"},
    "ended": {"id": "Pulih", "en": "Mended"},
    "told after": {"id": "Diberi tahu setelah", "en": "Told after"},
    "mended after": {"id": "Pulih setelah", "en": "Mended after"},
    "runs": {"id": "Eksekusi", "en": "Runs"},
    "entries": {"id": "Entri", "en": "Entries"},
    "said": {"id": "Pesan program", "en": "Message of the program"},
    "since": {"id": "Sejak", "en": "Since"},
    "what": {"id": "Apa, dan langkah berikutnya", "en": "What, and the next step"},
    "times": {"id": "Kali", "en": "Times"},
    "before": {"id": "Periode sebelumnya", "en": "Period before"},
    "last": {"id": "Terakhir", "en": "Last"},
    "guard": {"id": "Pengaman", "en": "Guard"},
    "observed": {"id": "Melihat", "en": "Saw"},
    "limit": {"id": "Batas", "en": "Limit"},
    "outcome": {"id": "Kelanjutan", "en": "What came of it"},
    "hold": {"id": "Penahanan", "en": "Hold"},
    "placed": {"id": "Ditetapkan", "en": "Placed"},
    "review_by": {"id": "Tinjau sebelum", "en": "Review by"},
    "state": {"id": "Keadaan", "en": "State"},
    # --- words in cells ---------------------------------------------------------------------------------
    "cause refused": {"id": "pengaman menolak: {detail}", "en": "a guard refused: {detail}"},
    "cause failed": {
        "id": "penyimpanan tidak dapat disurvei",
        "en": "the store could not be surveyed",
    },
    "cause ended": {"id": "berakhir tidak baik: {detail}", "en": "it ended badly: {detail}"},
    "cause drift": {
        "id": "masa simpan pada penyimpanan berbeda",
        "en": "the retention of the store differs",
    },
    "cause missed": {"id": "tidak dijalankan pada waktunya", "en": "it did not run at its time"},
    "cause sweep": {
        "id": "pemeriksaan menyeluruh tidak dijalankan",
        "en": "the walk over the whole bucket did not run",
    },
    "cause killed": {"id": "proses terhenti di tengah", "en": "the process ended half way"},
    "cause archive_broken": {
        "id": "arsip hilang, berubah, atau tidak terbaca",
        "en": "archives are gone, changed or cannot be read",
    },
    "cause drill": {"id": "uji pemulihan arsip berbeda", "en": "a rehearsed restore differs"},
    "cause dashboards": {
        "id": "dasbor atau aturan alert tidak sesuai",
        "en": "dashboards or alert rules are not as they should be",
    },
    "cause hold_review": {
        "id": "penahanan {detail} sudah waktunya ditinjau",
        "en": "the hold {detail} is due for review",
    },
    "cause waiting": {
        "id": "{count} pesan menunggu untuk {detail}",
        "en": "{count} messages wait for {detail}",
    },
    "still open": {"id": "masih terbuka", "en": "still open"},
    "removed": {"id": "dikeluarkan dari setelan", "en": "taken out of the settings"},
    "not told": {"id": "tidak diberitahukan", "en": "not told"},
    "outcome named": {"id": "seseorang menyebut nilai", "en": "somebody named a value"},
    "outcome refuses": {"id": "masih menolak", "en": "it still refuses"},
    "outcome went_away": {"id": "sebabnya hilang", "en": "its cause went away"},
    "outcome went_on": {"id": "dilanjutkan dengan {named}", "en": "it went on with {named}"},
    "kind refused": {"id": "menolak", "en": "refused"},
    "kind override": {"id": "dilonggarkan", "en": "widened"},
    "kind approval": {"id": "disetujui", "en": "approved"},
    "hold in force": {"id": "berlaku", "en": "in force"},
    "hold new": {"id": "berlaku, baru dalam periode ini", "en": "in force, new in this period"},
    "hold released": {"id": "dilepas {day}", "en": "released {day}"},
    "hold overdue": {"id": "berlaku, tinjauan terlambat", "en": "in force, its review is overdue"},
    "whole policy": {"id": "seluruh kebijakan", "en": "the whole policy"},
    # --- next steps that the report does not have ------------------------------------------------------
    "step archive_broken": {
        "id": "periksa bucket arsip dan siapa yang menulis di sana; jalankan archive verify lagi.",
        "en": "look at the archive's bucket, and at who writes there; run archive verify again.",
    },
    "step drill": {
        "id": "jangan memusnahkan lagi sampai uji pemulihan berhasil; lihat docs/evidence.md.",
        "en": "destroy nothing more until the rehearsal succeeds; see docs/evidence.md.",
    },
    "step dashboards": {
        "id": "jalankan observability generate, pasang hasilnya, lalu observability check.",
        "en": "run observability generate, deploy what it wrote, then observability check.",
    },
    "step waiting": {
        "id": "jalankan notify test, dan perbaiki saluran itu.",
        "en": "run notify test, and mend that channel.",
    },
    # --- for the meeting --------------------------------------------------------------------------------
    "question guards": {
        "id": "Pengaman mana yang menolak dengan benar, dan mana yang batasnya harus diubah?",
        "en": "Which guards were right to refuse, and which limits should change?",
    },
    "question holds": {"id": "Penahanan mana yang masih diperlukan?", "en": "Which holds are still needed?"},
    "question repeats": {
        "id": "Apa yang akan mencegah hal yang sama terulang, siapa yang melakukannya, dan kapan?",
        "en": "What will keep the same from happening again, who does it, and by when?",
    },
    "seconds": {"id": "{seconds} dtk", "en": "{seconds} s"},
    "minutes": {"id": "{minutes} mnt", "en": "{minutes} min"},
    "hours": {"id": "{hours} jam {minutes} mnt", "en": "{hours} h {minutes} min"},
    "days": {"id": "{days} hari {hours} jam", "en": "{days} d {hours} h"},
}
#: with those of the report, which the pages share
RETROSPECTIVE: Mapping[str, Mapping[str, str]] = {**TEXTS, **_OWN}

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def said(key: str, lang: str, **values: object) -> str:
    """A text in ``lang``, with its values."""
    found = RETROSPECTIVE[key][lang]
    return found.format(**values) if values else found


def span(seconds: int | None, lang: str) -> str:
    """``3 s``, ``12 min``, ``2 h 14 min``, ``3 d 4 h``; a dash for what is not known."""
    if seconds is None:
        return number(None, lang)
    days, hours, minutes = seconds // _DAY, seconds // _HOUR % 24, seconds // _MINUTE % 60
    name = "days" if days else "hours" if hours else "minutes" if minutes else "seconds"
    return said(name, lang, days=days, hours=hours, minutes=minutes, seconds=seconds)
