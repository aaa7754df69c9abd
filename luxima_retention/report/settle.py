"""Who may settle an exception, and how: data, in both languages. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_OPERATIONS = {"id": "Petugas operasi", "en": "Operations"}
_OWNER = {"id": "Pemilik kebijakan", "en": "Owner of the policy"}

_LEGAL = {"id": "Unit hukum", "en": "Legal unit"}

_OTHERS = {
    "id": "cari siapa yang juga menghapus catatan, dan atas dasar apa; cabut haknya bila perlu.",
    "en": "find out who else deletes records, and on what basis; withdraw the right if need be.",
}
_AGAIN = {
    "id": "hilangkan sebab yang disebut pesan, lalu jalankan kebijakan lagi.",
    "en": "remove the cause that the message names, then run the policy again.",
}
_CAUSE = {
    "id": "cari apa yang menghentikan proses; pada penyimpanan tidak ada yang tersisa untuk dikerjakan.",
    "en": "find out what ended the process; in the store nothing is left to do.",
}
_CONFIRM = {
    "id": "pastikan perubahan ini disetujui dan sesuai dengan jadwal retensi, lalu catat keputusannya.",
    "en": "make sure that the change was agreed to and fits the retention schedule, and note the decision.",
}
_SCHEDULE = {
    "id": "periksa jadwal (CronJob, crontab, atau daemon) dan log-nya; eksekusi berikutnya menyusul.",
    "en": "check the schedule (CronJob, crontab or daemon) and its log; the next run catches up.",
}
_GUARD = {
    "id": "periksa angka pengaman (Lampiran E); hilangkan sebabnya, atau setujui batas untuk satu eksekusi.",
    "en": "check the figures of the guard (Appendix E); remove the cause, or agree to a limit for one run.",
}

#: code of an exception → who, and how
_SETTLED: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "not-configured": (
        _OWNER,
        {
            "id": "tetapkan penyimpanannya dalam pengaturan, atau hapus kebijakan ini.",
            "en": "name its store in the settings, or remove the policy.",
        },
    ),
    "survey": (_OPERATIONS, _AGAIN),
    "failed": (_OPERATIONS, _AGAIN),
    "ended": (_OPERATIONS, _AGAIN),
    "drift": (
        _OPERATIONS,
        {
            "id": "samakan masa simpan pada penyimpanan itu dengan kebijakan, lalu periksa lagi.",
            "en": "set the retention of that store to the policy's period, then check again.",
        },
    ),
    "would-refuse": (_OWNER, _GUARD),
    "refused": (_OWNER, _GUARD),
    "not-yet-provable": (
        _OPERATIONS,
        {
            "id": "tunggu sampai data setua masa retensi, lalu buat laporan lagi.",
            "en": "wait until the data is as old as the period, then write the report again.",
        },
    ),
    "overdue": (
        _OPERATIONS,
        {
            "id": "jalankan kebijakan, dan cari mengapa eksekusi sebelumnya tidak memusnahkannya.",
            "en": "run the policy, and find out why earlier runs did not destroy them.",
        },
    ),
    "expired": (
        _OPERATIONS,
        {
            "id": "buat laporan lagi setelah penyimpanan dapat disurvei.",
            "en": "write the report again once the store can be surveyed.",
        },
    ),
    "review": (
        _OWNER,
        {
            "id": "tinjau masa retensi dan dasarnya, lalu tetapkan hari peninjauan berikutnya.",
            "en": "review the period and its basis, then set the next day of review.",
        },
    ),
    "missed": (_OPERATIONS, _SCHEDULE),
    "sweep": (_OPERATIONS, _SCHEDULE),
    "never": (_OPERATIONS, _SCHEDULE),
    "killed": (
        _OPERATIONS,
        {
            "id": "jalankan kebijakan lagi: eksekusi itu diselesaikan atau ditutup.",
            "en": "run the policy again: it finishes that run, or closes it.",
        },
    ),
    "reconciled": (_OPERATIONS, _CAUSE),
    "resumed": (_OPERATIONS, _CAUSE),
    "unknown": (
        _OPERATIONS,
        {
            "id": "bandingkan penyimpanan dengan rencana eksekusi itu, lalu catat hasilnya pada berita"
            " acara.",
            "en": "compare the store with the plan of that run, and note the result on the minutes.",
        },
    ),
    "archive": (
        _OPERATIONS,
        {
            "id": "jalankan lagi pemusnahan arsip: yang tersisa dimusnahkan dan hasilnya dicatat.",
            "en": "destroy expired archives again: what is left is destroyed, and the result is recorded.",
        },
    ),
    "deleted_externally": (_OWNER, _OTHERS),
    "deletions_unknown": (_OPERATIONS, _AGAIN),
    "hold_review": (
        _LEGAL,
        {
            "id": "tinjau apakah penahanan masih diperlukan, lalu perpanjang atau lepaskan.",
            "en": "review whether the hold is still needed, then extend or release it.",
        },
    ),
    "retention": (_OWNER, _CONFIRM),
    "floor": (_OWNER, _CONFIRM),
    "approval": (_OWNER, _CONFIRM),
}


CODES = frozenset(_SETTLED)


def settled(code: str, owner: str, lang: str) -> str:
    """``Owner of the policy (Ms Sari): check …``.

    Args:
        code: of the exception.
        owner: of its policy, as the settings name them; may be empty.
        lang: ``id`` or ``en``.
    """
    who, how = _SETTLED[code]
    named = f" ({owner})" if owner and who is _OWNER else ""
    return f"{who[lang]}{named}: {how[lang]}"
