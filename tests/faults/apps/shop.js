// Copyright: Contributors to the sre.bad_gateway project
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The shop in Node.js. SHOP_LISTEN is a host, SHOP_IDLE how many milliseconds it keeps an idle connection.
const http = require('http')

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain')
  request.resume()
  request.on('end', () => response.end('the shop\n'))
})
if (process.env.SHOP_IDLE) server.keepAliveTimeout = Number(process.env.SHOP_IDLE)
server.listen(3000, process.env.SHOP_LISTEN || '127.0.0.1')
