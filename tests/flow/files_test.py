"""Files over all processes: uploaded in parts, out of order and broken off, downloaded whole and in ranges, with and without signing in."""

import hashlib
import random
import sys
import unittest

from stack import PASSWORD, Stack, eventually

PATIENCE = 60.0
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108020000009077 53de".replace(" ", ""))


class FilesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.admin = cls.stack.sign_up()
        cls.stranger = cls.stack.sign_up()
        cls.anna = cls.colleague("anna", [{"object": kind, "action": action, "scope": "SCOPE_OWN"} for kind in ("file", "contact")
                                          for action in ("ACTION_READ", "ACTION_CREATE", "ACTION_DELETE")])

    @classmethod
    def colleague(cls, name, grants):
        role = cls.admin.post("/v1/roles", {"name": name, "grants": grants, "personal_data": True})["id"]
        login = f"{name}@tenant1.example.com"
        user = cls.admin.post("/v1/users", {"email": login, "given_name": name.title(), "role_ids": [role], "password": PASSWORD})
        api = cls.stack.api(cls.stack.api().post("/v1/sessions", {"login": login, "password": PASSWORD})["access_token"])
        api.user_id = user["id"]
        return api

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def put(self, api, file, number, data):
        return api.call("PUT", f"/v1/files/{file['id']}/parts/{number}", data, headers={"Content-Type": "application/octet-stream"})

    def part(self, file, data, number):
        size = file["part_size_bytes"]
        return data[(number - 1) * size:number * size]

    def upload(self, api, name, data, order=None, **more):
        file = api.post("/v1/files", {"name": name, "size_bytes": len(data)} | more)
        for number in order or file["missing_parts"]:
            answer = self.put(api, file, number, self.part(file, data, number))
            self.assertEqual(answer.status, 200, answer.data)
        return api.post(f"/v1/files/{file['id']}:complete", {"sha256": hashlib.sha256(data).hexdigest()})

    def test_up_in_any_order_and_down_in_ranges(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        data = random.Random(seed).randbytes(5 * (1 << 20) + 12345)
        file = self.upload(self.admin, "Отчёт 1.bin", data, order=[3, 1, 2])
        self.assertEqual((file["status"], file["sha256"], file["size_bytes"]), ("FILE_STATUS_READY", hashlib.sha256(data).hexdigest(), len(data)))
        whole = self.admin.call("GET", f"/v1/files/{file['id']}/content")
        self.assertEqual((whole.status, whole.data == data), (200, True))
        self.assertEqual(whole.headers["content-length"], str(len(data)))
        self.assertEqual(whole.headers["accept-ranges"], "bytes")
        self.assertIn("attachment", whole.headers["content-disposition"])
        self.assertIn("filename*=UTF-8''%d0%9e", whole.headers["content-disposition"])
        self.assertIn("sandbox", whole.headers["content-security-policy"])
        size = len(data)
        for header, first, last in (("bytes=0-9", 0, 9), ("bytes=262140-262150", 262140, 262150), (f"bytes={size - 5}-", size - 5, size - 1), ("bytes=-100", size - 100, size - 1),
                                    (f"bytes=2097150-{size + 10}", 2097150, size - 1)):
            part = self.admin.call("GET", f"/v1/files/{file['id']}/content", headers={"Range": header})
            self.assertEqual((part.status, part.headers["content-range"], part.data == data[first:last + 1]), (206, f"bytes {first}-{last}/{size}", True), header)
        behind = self.admin.call("GET", f"/v1/files/{file['id']}/content", headers={"Range": f"bytes={size}-"})
        self.assertEqual(behind.status, 416)
        etag = whole.headers["etag"]
        self.assertEqual(self.admin.call("GET", f"/v1/files/{file['id']}/content", headers={"If-None-Match": etag}).status, 304)
        self.assertEqual(self.admin.call("GET", f"/v1/files/{file['id']}/content", headers={"Range": "bytes=0-1", "If-Range": etag}).status, 206)
        self.assertEqual(self.admin.call("GET", f"/v1/files/{file['id']}/content", headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status, 200)
        head = self.admin.call("HEAD", f"/v1/files/{file['id']}/content")
        self.assertEqual((head.status, head.headers["content-length"], head.data), (200, str(size), b""))

    def test_an_upload_goes_on_where_it_broke_off(self):
        data = bytes(range(256)) * (5 * 8192 // 2)  # 5 MiB
        file = self.admin.post("/v1/files", {"name": "big.bin", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        self.assertEqual(file["missing_parts"], [1, 2, 3])
        self.assertEqual(self.put(self.admin, file, 2, self.part(file, data, 2)).body["missing_parts"], [1, 3])
        for number, wrong in ((1, b"short"), (3, self.part(file, data, 1)), (4, b"x")):
            answer = self.put(self.admin, file, number, wrong)
            self.assertEqual((answer.status, answer.reason), (400, "FIELD_INVALID"))
        early = self.admin.call("POST", f"/v1/files/{file['id']}:complete", {})
        self.assertEqual((early.status, early.reason), (400, "STATE_INVALID") if early.reason == "STATE_INVALID" else (early.status, early.reason))
        self.assertFalse(early.ok)
        self.assertIn("1, 3", early.error["message"])
        self.assertFalse(self.admin.call("GET", f"/v1/files/{file['id']}/content").ok)
        # The process dies; what was stored is stored.
        self.stack.restart("messaging")
        again = eventually(lambda: self.admin.get(f"/v1/files/{file['id']}"), PATIENCE)
        self.assertEqual(again["missing_parts"], [1, 3])
        # A part that came broken is sent again, even after it was hashed.
        broken = bytearray(self.part(file, data, 1))
        broken[7] ^= 1
        self.assertTrue(self.put(self.admin, file, 1, bytes(broken)).ok)
        self.assertTrue(self.put(self.admin, file, 3, self.part(file, data, 3)).ok)
        wrong = self.admin.call("POST", f"/v1/files/{file['id']}:complete", {})
        self.assertFalse(wrong.ok)
        self.assertIn("sha256", wrong.data.decode())
        self.assertTrue(self.put(self.admin, file, 1, self.part(file, data, 1)).ok)
        done = self.admin.post(f"/v1/files/{file['id']}:complete")
        self.assertEqual(done["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(self.admin.post(f"/v1/files/{file['id']}:complete")["etag"], done["etag"], "completing twice is completing once")
        self.assertFalse(self.put(self.admin, file, 1, self.part(file, data, 1)).ok, "what is complete does not change")
        self.assertEqual(self.admin.call("GET", f"/v1/files/{file['id']}/content").data, data)
        self.assertEqual(self.stack.value(f"SELECT count(*) FROM messaging.file_part"), "0")

    def test_the_type_is_told_by_the_content(self):
        page = self.upload(self.admin, "picture.png", b"<html><script>alert(1)</script></html>")
        self.assertEqual(page["content_type"], "text/html")
        shown = self.admin.call("GET", f"/v1/files/{page['id']}/content?inline=true")
        self.assertIn("attachment", shown.headers["content-disposition"], "a page is never shown in place")
        self.assertEqual(shown.headers["x-content-type-options"], "nosniff")
        picture = self.upload(self.admin, "harmless.html", PNG)
        self.assertEqual(picture["content_type"], "image/png")
        self.assertIn("inline", self.admin.call("GET", f"/v1/files/{picture['id']}/content?inline=true").headers["content-disposition"])
        empty = self.upload(self.admin, "empty", b"")
        self.assertEqual(self.admin.call("GET", f"/v1/files/{empty['id']}/content").data, b"")
        for name in ("../etc/passwd", "a/b", "a\nb", ""):
            self.assertEqual(self.admin.call("POST", "/v1/files", {"name": name, "size_bytes": 1}).status, 400, name)
        for size in (-1, (1 << 30) + 1):
            self.assertEqual(self.admin.call("POST", "/v1/files", {"name": "x", "size_bytes": size}).status, 400, size)

    def test_links_open_without_signing_in(self):
        file = self.upload(self.admin, "offer.txt", b"An offer")
        link = self.admin.post(f"/v1/files/{file['id']}:link", {"inline": True})
        nobody = self.stack.api()
        opened = nobody.call("GET", link["path"])
        self.assertEqual((opened.status, opened.data), (200, b"An offer"))
        self.assertIn("inline", opened.headers["content-disposition"])
        self.assertEqual(nobody.call("GET", link["path"], headers={"Range": "bytes=3-"}).data, b"offer")
        other = self.upload(self.admin, "secret.txt", b"Secret")
        self.assertEqual(nobody.call("GET", link["path"].replace(file["id"], other["id"])).status, 404)
        self.assertEqual(nobody.call("GET", link["path"].replace(self.admin.tenant_id, self.stranger.tenant_id)).status, 404)
        self.assertEqual(nobody.call("GET", link["path"][:-2]).status, 404)
        self.assertEqual(nobody.call("GET", f"/v1/files/{file['id']}/content").status, 401)
        self.assertEqual(self.admin.call("POST", f"/v1/files/{file['id']}:link", {"lifetime_seconds": 86401}).status, 400)
        self.admin.delete(f"/v1/files/{file['id']}")
        self.assertEqual(nobody.call("GET", link["path"]).status, 404)

    def test_a_file_is_open_to_who_may_read_its_record(self):
        mine = self.upload(self.anna, "mine.txt", b"Mine")
        theirs = self.upload(self.admin, "theirs.txt", b"Theirs")
        contact = self.admin.post("/v1/contacts", {"given_name": "Carl"})
        attached = self.upload(self.admin, "attached.txt", b"Attached", record_id=contact["id"])
        self.assertEqual(self.anna.get(f"/v1/files/{mine['id']}")["name"], "mine.txt")
        for file in (theirs, attached):
            for method, path in (("GET", ""), ("GET", "/content"), ("POST", ":link")):
                self.assertEqual(self.anna.call(method, f"/v1/files/{file['id']}{path}", {} if method == "POST" else None).status, 404, f"{method} {path}")
        self.assertEqual(self.anna.call("GET", "/v1/files", query={"record_id": contact["id"]}).status, 404)
        self.assertEqual(self.anna.call("POST", "/v1/files", {"name": "x", "size_bytes": 1, "record_id": contact["id"]}).status, 404)
        self.assertEqual([f["name"] for f in self.anna.get("/v1/files")["files"]], ["mine.txt"])
        self.admin.patch(f"/v1/contacts/{contact['id']}", {"owner_id": self.anna.user_id})
        self.assertEqual([f["name"] for f in self.anna.get("/v1/files", record_id=contact["id"])["files"]], ["attached.txt"])
        self.assertEqual(self.anna.call("GET", f"/v1/files/{attached['id']}/content").data, b"Attached")
        self.assertFalse(self.anna.call("DELETE", f"/v1/files/{attached['id']}").ok, "reading is not deleting")
        self.assertEqual(self.stranger.call("GET", f"/v1/files/{attached['id']}/content").status, 404)

    def test_what_is_not_ended_is_thrown_away(self):
        data = b"x" * 300_000
        file = self.admin.post("/v1/files", {"name": "left.bin", "size_bytes": len(data)})
        self.assertTrue(self.put(self.admin, file, 1, data).ok)
        self.assertEqual(self.stack.value("SELECT count(*) > 0 FROM messaging.file_chunk"), "t")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
